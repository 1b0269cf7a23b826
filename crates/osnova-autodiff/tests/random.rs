//! Gradients of random expressions at random shapes and layouts. A failing case prints its seed and shapes.

mod common;

use common::plain;
use osnova_autodiff::{Settings, gradcheck, gradgradcheck};
use osnova_tensor::{Activation, DType, Generator, Result, Tensor, Unary};
use proptest::prelude::*;

/// A tensor of `shape` under one of the layouts a view can have.
fn laid_out(shape: &[usize], layout: u8, seed: u64) -> Result<Tensor> {
    let normal = |shape: &[usize]| Tensor::normal(shape, 0.0, 1.0, DType::F64, &Generator::new(seed), plain());
    let rank = shape.len();
    if rank == 0 {
        return normal(shape);
    }
    match layout % 5 {
        // Transposed.
        1 => {
            let reversed: Vec<usize> = shape.iter().rev().copied().collect();
            normal(&reversed)?.permute(&(0..rank).rev().collect::<Vec<_>>()[..])
        }
        // Every second element of a wider tensor, backwards.
        2 => {
            let mut wider = shape.to_vec();
            wider[rank - 1] *= 2;
            normal(&wider)?.slice(-1, .., -2)
        }
        // From the middle of a longer one.
        3 => {
            let mut longer = shape.to_vec();
            longer[0] += 2;
            normal(&longer)?.narrow(0, 1, shape[0])
        }
        // Repeated along the first axis.
        4 => {
            let mut single = shape.to_vec();
            single[0] = single[0].min(1);
            normal(&single)?.expand(shape)
        }
        _ => normal(shape),
    }
}

/// Shapes of rank 0 to 4 with sizes 1 to 3, now and then 0.
fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![15 => 1..4usize, 1 => Just(0)], 0..5)
}

/// A smooth function of one tensor that keeps its values moderate, by number.
fn step(x: &Tensor, number: u8) -> Result<Tensor> {
    let last = x.rank() as isize - 1;
    match number % 22 {
        0 => x.unary(Unary::Sin),
        1 => x.unary(Unary::Tanh),
        2 => x.sigmoid()? + x,
        3 => (x.square()? + 1.0)?.ln(),
        4 => (x.square()? + 0.5)?.sqrt(),
        5 => (x.square()? + 0.5)?.recip(),
        6 => x.erf()? * x,
        7 if x.rank() > 0 => x.softmax(last),
        8 if x.rank() > 0 => x.log_softmax(0),
        9 if x.rank() > 0 => x.cumsum(last),
        10 if x.rank() > 0 => x.flip(0isize),
        11 if x.rank() > 0 => x.slice(last, .., -2),
        12 if x.rank() > 0 && x.count() > 0 => x.mean(0isize, false)? * x,
        13 if x.rank() > 1 => x.transpose(0, -1),
        14 if x.rank() > 1 => x.t()?.matmul(x)?.tanh(),
        15 if x.rank() > 0 => x.sum(0isize, false),
        16 if x.rank() > 0 => Tensor::concat(&[x, &x.cos()?], last),
        17 if x.rank() > 0 => x.pad(&vec![(1, 1); x.rank()], 0.5),
        18 => x.reshape([-1isize].as_slice()),
        19 => x.activate(Activation::Gelu),
        20 => x.activate(Activation::Silu)? * 0.5,
        21 if x.rank() > 0 && x.count() > 0 => x.logsumexp(last, true)? - x,
        _ => x.unary(Unary::Neg),
    }
}

/// A function of two tensors whose shapes broadcast.
fn join(x: &Tensor, y: &Tensor, number: u8) -> Result<Tensor> {
    match number % 5 {
        0 => x + y,
        1 => x * y,
        2 => x / (y.square()? + 0.7)?,
        3 => x - y,
        _ => (x.square()? + 0.3)?.pow(y),
    }
}

proptest! {
    #[test]
    fn chains_of_random_operations(
        shape in shape(), layout: u8, seed: u64, steps in prop::collection::vec(any::<u8>(), 1..5)
    ) {
        // Zero-size inputs of `-1` reshapes have no length to tell.
        prop_assume!(shape.iter().product::<usize>() > 0 || steps.iter().all(|step| step % 22 != 18));
        let x = laid_out(&shape, layout, seed).unwrap();
        let function = |inputs: &[Tensor]| {
            let mut y = inputs[0].clone();
            for &number in &steps {
                // Matrix products and paddings grow.
                y = if y.count() > 200 { y.tanh()? } else { step(&y, number)? };
            }
            Ok(y)
        };
        let settings = Settings::default().elements(6).directions(2).absolute(1e-7);
        gradcheck(function, std::slice::from_ref(&x), settings).map_err(|error| TestCaseError::fail(error.to_string()))?;
        gradgradcheck(function, &[x], settings.elements(2).directions(1).tolerance(1e-5))
            .map_err(|error| TestCaseError::fail(format!("second order: {error}")))?;
    }

    #[test]
    fn pairs_that_broadcast(
        shape in shape(), mask in prop::collection::vec(any::<bool>(), 4), skip in 0..5usize,
        layouts: (u8, u8), seed: u64, number: u8, swap: bool
    ) {
        let x = laid_out(&shape, layouts.0, seed).unwrap();
        // Some axes of size 1, some missing in front.
        let thin: Vec<usize> =
            shape.iter().zip(&mask).map(|(&size, &one)| if one { 1 } else { size }).skip(skip.min(shape.len())).collect();
        let y = laid_out(&thin, layouts.1, seed ^ 1).unwrap();
        let function = |inputs: &[Tensor]| {
            let (x, y) = if swap { (&inputs[1], &inputs[0]) } else { (&inputs[0], &inputs[1]) };
            join(x, y, number)
        };
        let settings = Settings::default().elements(6).absolute(1e-7);
        let inputs = [x, y];
        gradcheck(function, &inputs, settings).map_err(|error| TestCaseError::fail(error.to_string()))?;
        gradgradcheck(function, &inputs, settings.elements(2).directions(1).tolerance(1e-5))
            .map_err(|error| TestCaseError::fail(format!("second order: {error}")))?;
    }
}
