//! Checkpointed layers do what the layers inside do.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_cpu::memory::{memory_statistics, reset_peak};
use osnova_nn::{Buffer, Checkpointed, Dropout, Forward, Linear, Module, Sequential, Tanh};
use osnova_tensor::{DType, Device, Generator, Op, Optimize, Real, Result, Tensor};
use std::sync::{Mutex, PoisonError};

/// The allocator's statistics are the whole program's: one test at a time.
static MEMORY: Mutex<()> = Mutex::new(());

fn block(device: Device) -> Result<Sequential> {
    let generator = Generator::new(3);
    let mut block = Sequential::new();
    for _ in 0..3 {
        block.push(Linear::new(64, 64, &generator, device)?);
        block.push(Tanh);
        block.push(Dropout::new(0.25, &generator)?);
    }
    Ok(block)
}

/// The loss, and the gradients of all parameters.
fn gradients(model: &impl Module, forward: impl Fn() -> Result<Tensor>) -> Result<(f64, Vec<Vec<f32>>)> {
    let loss = forward()?.square()?.mean(.., false)?;
    let gradients = loss.backward()?;
    let parameters = model.parameters().into_iter();
    let gradients = parameters.map(|parameter| gradients.get(parameter).expect("a gradient").to_vec::<f32>());
    Ok((loss.item()?, gradients.collect::<Result<_>>()?))
}

#[test]
fn the_same_values_gradients_and_dropped_elements() -> Result<()> {
    let device = Device::cpu().autodiff();
    let (plain, checkpointed) = (block(device)?, Checkpointed::new(block(device)?));
    // A constant of the device inside, as a loader gives it.
    let input = Tensor::normal([8, 64], 0.0, 1.0, DType::F32, &Generator::new(9), Device::cpu())?;
    let mut losses = Vec::new();
    for _ in 0..3 {
        let expected = gradients(&plain, || plain.forward(&input))?;
        // To the bit: the recomputation does the very same.
        assert_eq!(gradients(&checkpointed, || checkpointed.forward(&input))?, expected);
        assert_eq!(checkpointed.random_state(), plain.random_state());
        losses.push(expected.0);
    }
    assert!(losses[0] != losses[1] && losses[1] != losses[2], "dropout went on: {losses:?}");
    // The gradient of an input too.
    let input = input.to_device(device)?.into_tracked()?;
    let by_input = |model: &dyn Forward| {
        let gradients = model.forward(&input)?.sum(.., false)?.backward()?;
        gradients.get(&input).expect("a gradient").to_vec::<f32>()
    };
    assert_eq!(by_input(&checkpointed)?, by_input(&plain)?);
    Ok(())
}

#[test]
fn it_is_the_layer_inside_to_all_who_ask() -> Result<()> {
    let device = Device::cpu().autodiff();
    let (plain, mut checkpointed) = (block(device)?, Checkpointed::new(block(device)?));
    assert_eq!(checkpointed.state_dict().names().collect::<Vec<_>>(), plain.state_dict().names().collect::<Vec<_>>());
    assert_eq!(checkpointed.parameter_count(), plain.parameter_count());
    assert_eq!(checkpointed.summary([8, 64])?.to_string(), plain.summary([8, 64])?.to_string());
    let input = Tensor::ones([2, 64], DType::F32, device)?;
    // A change after a forward pass leaves that pass as it was, and parameters are what they were.
    let loss = checkpointed.forward(&input)?.sum(.., false)?;
    let expected = plain.forward(&input)?.sum(.., false)?.backward()?;
    checkpointed.eval();
    let gradients = loss.backward_retaining()?;
    for (own, other) in checkpointed.parameters().into_iter().zip(plain.parameters()) {
        let (own, other) = (gradients.get(own).unwrap(), expected.get(other).unwrap());
        assert_eq!(own.to_vec::<f32>()?, other.to_vec::<f32>()?);
    }
    checkpointed.freeze();
    assert_eq!(loss.backward()?.len(), 6);
    assert!(!checkpointed.forward(&input)?.is_tracked());
    checkpointed.unfreeze();
    let first = checkpointed.forward(&input)?;
    assert_eq!(checkpointed.clone().forward(&input)?.to_vec::<f32>()?, first.to_vec::<f32>()?);
    assert_eq!(checkpointed.inference()?.forward(&input.detach())?.to_vec::<f32>()?, first.to_vec::<f32>()?);
    assert_eq!(checkpointed.layer().layers().len(), checkpointed.clone().layer_mut().layers_mut().len());
    Ok(())
}

/// Counts its runs in a buffer, as running statistics do.
#[derive(Module, Clone, Debug)]
struct Counting {
    linear: Linear,
    runs: Buffer,
}

impl Forward for Counting {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.runs.set((self.runs.value() + 1.0)?)?;
        self.linear.forward(input)?.tanh()
    }
}

#[test]
fn buffers_change_once() -> Result<()> {
    let device = Device::cpu().autodiff();
    let linear = Linear::new(4, 4, &Generator::new(0), device)?;
    let runs = Buffer::new(Tensor::zeros((), DType::F32, device)?);
    let layer = Checkpointed::new(Counting { linear, runs });
    layer.forward(&Tensor::ones([2, 4], DType::F32, device)?)?.sum(.., false)?.backward()?;
    assert_eq!(layer.layer().runs.value().item()?, 1.0);
    Ok(())
}

#[test]
fn it_trains_in_place() -> Result<()> {
    // After the backward pass nothing but the model holds its parameters, even while the loss lives.
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::cpu().autodiff();
    let mut layer = Checkpointed::new(Linear::new(1024, 1024, &Generator::new(0), device)?);
    let loss = layer.forward(&Tensor::ones([2, 1024], DType::F32, device)?)?.sum(.., false)?;
    let mut gradients = loss.backward()?;
    let weight = layer.parameters_mut().remove(0);
    let gradient = gradients.remove(weight).expect("a gradient");
    let sgd = Optimize::Sgd { momentum: Real::new(0.0), nesterov: false, weight_decay: Real::new(0.0) };
    let scalars = Tensor::new([0.1f32, 1.0], Device::cpu())?;
    let value = weight.take_value(Tensor::zeros((), DType::F32, Device::cpu())?);
    let before = memory_statistics().bytes_in_use;
    reset_peak();
    let updated = Tensor::apply(&Op::Optimize(sgd), [scalars, value, gradient])?.remove(0);
    let more = memory_statistics().peak_bytes_in_use.saturating_sub(before);
    assert!(more < 1024 * 1024 * 4, "the update took {more} bytes: somebody else holds the parameter");
    weight.set_value(updated)?;
    drop(loss);
    Ok(())
}

#[test]
fn it_takes_less_memory() -> Result<()> {
    let _alone = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::cpu().autodiff();
    let generator = Generator::new(3);
    let deep = |checkpoints: bool| -> Result<Sequential> {
        let mut model = Sequential::new();
        for _ in 0..8 {
            let mut block = Sequential::new();
            for _ in 0..8 {
                block = block.with(Linear::new(32, 32, &generator, device)?).with(Tanh);
            }
            if checkpoints {
                model.push(Checkpointed::new(block));
            } else {
                model.push(block);
            }
        }
        Ok(model)
    };
    let input = Tensor::ones([4096, 32], DType::F32, device)?;
    let peak = |model: Sequential| -> Result<usize> {
        let before = memory_statistics().bytes_in_use;
        reset_peak();
        model.forward(&input)?.sum(.., false)?.backward()?;
        Ok(memory_statistics().peak_bytes_in_use - before)
    };
    let activation = 4096 * 32 * 4;
    let (all, some) = (peak(deep(false)?)?, peak(deep(true)?)?);
    // 64 activations against 8 inputs and one block's 8, with a few on the way.
    assert!(all >= 64 * activation, "{all}");
    assert!(some <= 24 * activation, "{some}");
    Ok(())
}
