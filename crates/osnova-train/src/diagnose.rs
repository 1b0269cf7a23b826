//! Finding the first tensor that is not finite, after the loss was not.

use crate::task::TrainingStep;
use osnova_autodiff::CheckedDevice;
use osnova_data::TensorBatch;
use osnova_nn::{Module, Visitor, VisitorMut};
use osnova_tensor::random::Stream;
use osnova_tensor::{Generator, Tensor};

/// What is told where data and parameters are finite and no operation on them made the first bad value.
pub(crate) const THE_LOSS_ITSELF: &str = "the loss itself, of finite inputs";

/// Where the random generators of a model stand, in the order of a visit. Without generators it allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Positions(Vec<Stream>);

impl Positions {
    pub(crate) fn note(&mut self, model: &dyn Module) {
        self.0.clear();
        model.visit(self);
    }

    pub(crate) fn restore(&self, model: &mut dyn Module) {
        model.visit_mut(&mut Restore(self.0.iter()));
    }
}

impl<'a> Visitor<'a> for Positions {
    fn generator(&mut self, generator: &'a Generator) {
        self.0.push(generator.position());
    }
}

struct Restore<'s>(std::slice::Iter<'s, Stream>);

impl<'a> VisitorMut<'a> for Restore<'_> {
    fn generator(&mut self, generator: &'a mut Generator) {
        if let Some(stream) = self.0.next() {
            generator.set_position(*stream);
        }
    }
}

/// `name[3, 17] is NaN`, if an element is not finite.
fn first_bad(name: &str, tensor: &Tensor) -> Option<String> {
    if !tensor.dtype().is_float() {
        return None;
    }
    // A tensor that cannot be read is not what this search is about.
    let values = tensor.to_host().ok()?.to_f64();
    let place = values.iter().position(|value| !value.is_finite())?;
    let mut rest = place;
    let mut index: Vec<String> = tensor
        .dims()
        .iter()
        .rev()
        .map(|&size| {
            let here = rest % size;
            rest /= size;
            here.to_string()
        })
        .collect();
    index.reverse();
    Some(format!("{name}[{}] is {}", index.join(", "), values[place]))
}

/// The first parameter or buffer that is not finite.
pub(crate) fn bad_parameter(model: &dyn Module) -> Option<String> {
    model.state_dict().iter().find_map(|(name, tensor)| first_bad(name, tensor))
}

/// The first bad tensor behind a loss that is not finite: in the data, in the model, or made by an operation, which is
/// found by computing the step once more on a device that checks every result.
pub(crate) fn first_bad_tensor<M, T>(task: &mut T, model: &M, positions: &Positions, batch: &TensorBatch) -> String
where
    M: Module + Clone,
    T: TrainingStep<M> + ?Sized,
{
    if let Some(found) = first_bad("the batch's features", &batch.features) {
        return found;
    }
    if let Some(found) = batch.targets.as_ref().and_then(|targets| first_bad("the batch's targets", targets)) {
        return found;
    }
    if let Some(found) = bad_parameter(model) {
        return found;
    }
    let mut copy = model.clone();
    let unknown = || THE_LOSS_ITSELF.to_owned();
    let Some(device) = copy.device() else { return unknown() };
    if let Err(error) = copy.to_device(device.checked()) {
        return error.to_string();
    }
    positions.restore(&mut copy);
    match task.training_step(&copy, batch) {
        Err(error) => error.to_string(),
        Ok(_) => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osnova_cpu::CpuDevice;
    use osnova_tensor::Device;

    #[test]
    fn the_place_of_the_first_bad_element_is_named() {
        let device = Device::cpu();
        let tensor = Tensor::new([[1.0f32, 2.0, 3.0], [4.0, f32::NAN, f32::INFINITY]], device).unwrap();
        assert_eq!(first_bad("w", &tensor).unwrap(), "w[1, 1] is NaN");
        assert_eq!(first_bad("w", &tensor.t().unwrap()).unwrap(), "w[1, 1] is NaN");
        assert_eq!(first_bad("w", &Tensor::new([1.0f32], device).unwrap()), None);
        assert_eq!(first_bad("w", &Tensor::new([1i64], device).unwrap()), None);
    }
}
