//! Data and models that the tests share.

use osnova_cpu::CpuDevice;
use osnova_data::{ArrayDataset, DataLoader};
use osnova_nn::{Linear, Param};
use osnova_tensor::{DType, Device, Generator, Tensor};
use osnova_train::{Result, TrainError};

/// A loader of unlabelled samples of `width` numbers.
pub(crate) fn loader(values: Vec<f32>, width: usize, batch: usize) -> DataLoader {
    DataLoader::new(ArrayDataset::unlabelled(values, [width]).unwrap(), batch).unwrap()
}

/// A loader whose epochs have no batch.
pub(crate) fn empty(width: usize) -> DataLoader {
    loader(vec![0.5; width], width, 2).drop_last(true)
}

pub(crate) fn normal(count: usize, seed: u64) -> Vec<f32> {
    Tensor::normal([count], 0.0, 1.0, DType::F32, &Generator::new(seed), Device::cpu()).unwrap().to_vec().unwrap()
}

/// A linear layer with this weight, a row an output, and this bias.
pub(crate) fn linear(weight: &[Vec<f64>], bias: &[f64]) -> Linear {
    let shape = [weight.len(), weight[0].len()];
    let values = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
    let param = |values: Vec<f32>, shape: &[usize]| {
        Param::new(Tensor::from_vec(values, shape, Device::cpu()).unwrap()).unwrap()
    };
    let bias = param(values(bias), &[bias.len()]);
    Linear::from_parameters(param(values(&weight.concat()), &shape), Some(bias)).unwrap()
}

/// The identity and a bias.
pub(crate) fn shift(width: usize, bias: f64) -> Linear {
    let row = |i: usize| (0..width).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
    linear(&(0..width).map(row).collect::<Vec<_>>(), &vec![bias; width])
}

/// The message of a refusal, which has to name what is wrong and is no success.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(error @ (TrainError::Argument { .. } | TrainError::Tensor(_) | TrainError::Data(_))) => error.to_string(),
        other => panic!("{other:?} is no typed refusal"),
    }
}
