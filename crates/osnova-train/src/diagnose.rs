//! Finding the first tensor that is not finite, after the loss was not.

use crate::task::TrainingStep;
use osnova_autodiff::CheckedDevice;
use osnova_data::TensorBatch;
use osnova_nn::{Module, Visitor, VisitorMut};
use osnova_tensor::random::Stream;
use osnova_tensor::{DType, Generator, Tensor};
use std::collections::BTreeSet;

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
    let state = model.state_dict();
    let floats = || state.iter().filter(|(_, tensor)| tensor.dtype().is_float() && tensor.count() > 0);
    let dtypes: BTreeSet<DType> = floats().map(|(_, tensor)| tensor.dtype()).collect();
    let good = dtypes.into_iter().all(|dtype| {
        let tensors = floats().filter(|(_, tensor)| tensor.dtype() == dtype).map(|(_, tensor)| tensor);
        // What cannot be reduced is looked at element by element.
        all_finite(tensors).unwrap_or(false)
    });
    if good { None } else { floats().find_map(|(name, tensor)| first_bad(name, tensor)) }
}

/// Whether all elements of tensors of one dtype are finite. The device looks for the ends of their ranges (where NaN
/// wins), and two numbers a tensor are read, all of them together: a checkpoint asks this of the whole model.
fn all_finite<'t>(tensors: impl Iterator<Item = &'t Tensor>) -> osnova_tensor::Result<bool> {
    let mut ends = Vec::new();
    for tensor in tensors {
        ends.push(tensor.max(.., false)?.reshape([1])?);
        ends.push(tensor.min(.., false)?.reshape([1])?);
    }
    Ok(Tensor::concat(&ends, 0)?.to_host()?.to_f64().into_iter().all(f64::is_finite))
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
    use osnova_nn::Param;
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

    #[test]
    fn a_bad_number_anywhere_in_a_model_is_found() {
        #[derive(Module)]
        struct Model {
            single: Param,
            empty: Param,
            half: Param,
            double: Param,
        }
        let device = Device::cpu();
        let param = |dtype, shape: &[usize]| Param::new(Tensor::ones(shape, dtype, device).unwrap()).unwrap();
        let model = || Model {
            single: param(DType::F32, &[2, 3]),
            empty: param(DType::F32, &[0, 3]),
            half: param(DType::BF16, &[5]),
            double: param(DType::F64, &[2]),
        };
        assert_eq!(bad_parameter(&model()), None);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let bad = |shape: [usize; 1], dtype| {
                let values = (0..shape[0]).map(|place| if place == 1 { bad } else { 0.0 }).collect::<Vec<_>>();
                Tensor::from_vec(values, shape, device).unwrap().to_dtype(dtype).unwrap()
            };
            let mut half = model();
            half.half.set_value(bad([5], DType::BF16)).unwrap();
            assert!(bad_parameter(&half).unwrap().starts_with("half[1] is "));
            let mut double = model();
            double.double.set_value(bad([2], DType::F64)).unwrap();
            assert!(bad_parameter(&double).unwrap().starts_with("double[1] is "));
        }
        // Beyond the range of f32, but finite.
        let mut large = model();
        large.double.set_value(Tensor::new([1e300f64, -1e300], device).unwrap()).unwrap();
        assert_eq!(bad_parameter(&large), None);
    }
}
