//! Every derivative rule against central differences, twice where it is smooth, and where it is not against PyTorch's choices.
#![allow(clippy::cloned_ref_to_slice_refs, reason = "a list of inputs reads the same with one and with two")]

mod common;

use common::{close, constant, leaf, plain};
use osnova_autodiff::{Settings, grad, gradcheck, gradgradcheck};
use osnova_tensor::{
    Activation, BinaryCrossEntropy, CrossEntropy, DType, Generator, Real, ReductionKind, Result, Tensor, Unary,
};

/// Normally distributed values, as a constant.
fn normal(shape: &[usize], seed: u64) -> Tensor {
    Tensor::normal(shape, 0.0, 1.0, DType::F64, &Generator::new(seed), plain()).unwrap()
}

/// Values of one sign, away from 0.
fn positive(shape: &[usize], seed: u64) -> Tensor {
    Tensor::uniform(shape, 0.3, 2.0, DType::F64, &Generator::new(seed), plain()).unwrap()
}

/// Different values, at least 0.1 apart: no ties, no kink near.
fn spread(shape: &[usize], seed: u64) -> Tensor {
    let count = shape.iter().product::<usize>();
    let order = Tensor::permutation(count, &Generator::new(seed), plain()).unwrap();
    ((order.to_dtype(DType::F64).unwrap() * 0.37).unwrap() - 1.05).unwrap().reshape(shape).unwrap()
}

#[track_caller]
fn first(function: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) {
    if let Err(error) = gradcheck(function, inputs, Settings::default()) {
        panic!("{error}");
    }
}

/// First and second derivatives.
#[track_caller]
fn both(function: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor]) {
    first(&function, inputs);
    if let Err(error) = gradgradcheck(function, inputs, Settings::default()) {
        panic!("second order: {error}");
    }
}

#[test]
fn unary_functions() {
    let smooth =
        [Unary::Neg, Unary::Exp, Unary::Expm1, Unary::Sin, Unary::Cos, Unary::Tanh, Unary::Sigmoid, Unary::Erf];
    for kind in smooth {
        both(|x| x[0].unary(kind), &[normal(&[2, 3], 1)]);
    }
    for kind in [Unary::Ln, Unary::Ln1p, Unary::Sqrt, Unary::Rsqrt, Unary::Recip] {
        both(|x| x[0].unary(kind), &[positive(&[2, 3], 2)]);
    }
    for kind in [Unary::Abs, Unary::Relu] {
        both(|x| x[0].unary(kind), &[spread(&[2, 3], 3)]);
    }
    for kind in [Unary::Sign, Unary::Floor, Unary::Ceil, Unary::Round] {
        first(|x| x[0].unary(kind), &[spread(&[2, 3], 3)]);
    }
}

#[test]
fn binary_functions_broadcast() {
    let shapes: [(&[usize], &[usize]); 6] =
        [(&[2, 3], &[2, 3]), (&[2, 3], &[3]), (&[3, 1], &[1, 4]), (&[], &[2]), (&[2, 1, 2], &[3, 1]), (&[0, 2], &[2])];
    for (left, right) in shapes {
        let (x, y) = (positive(left, 4), positive(right, 5));
        both(|i| &i[0] + &i[1], &[x.clone(), y.clone()]);
        both(|i| &i[0] - &i[1], &[x.clone(), y.clone()]);
        both(|i| &i[0] * &i[1], &[x.clone(), y.clone()]);
        both(|i| &i[0] / &i[1], &[x.clone(), y.clone()]);
        both(|i| i[0].pow(&i[1]), &[x.clone(), y.clone()]);
        // One side constant.
        both(|i| &i[0] / &y, &[x.clone()]);
        both(|i| &x / &i[0], &[y.clone()]);
        both(|i| i[0].pow(&y), &[x.clone()]);
        both(|i| x.pow(&i[0]), &[y.clone()]);
        first(|i| i[0].minimum(&i[1]), &[x.clone(), y.clone()]);
        both(|i| i[0].maximum(&i[1]), &[x.clone(), y.clone()]);
        both(|i| i[0].maximum(&y), &[x.clone()]);
    }
    both(|i| i[0].pow(3.0), &[spread(&[4], 6)]);
    both(|i| 2.0 - &i[0], &[normal(&[2, 2], 7)]);
}

#[test]
fn choices_between_values() -> Result<()> {
    let condition = constant([[true, false, true], [false, false, true]]);
    both(|i| condition.where_(&i[0], &i[1]), &[normal(&[2, 3], 1), normal(&[3], 2)]);
    both(|i| constant([true, false]).unsqueeze(1)?.where_(&i[0], &i[1]), &[normal(&[], 1), normal(&[2, 4], 2)]);
    both(|i| condition.where_(&i[0], 0.5), &[normal(&[2, 3], 1)]);
    both(|i| i[0].clamp(-0.2, 0.5), &[spread(&[2, 4], 3)]);
    // 0 on the bounds, and outside.
    let gradient = grad(|i| i[0].clamp(-1.0, 1.0)?.sum(.., false), &[constant([-2.0, -1.0, 0.5, 1.0, 2.0])])?;
    close(&gradient[0], &[0.0, 0.0, 1.0, 0.0, 0.0]);
    Ok(())
}

#[test]
fn casts_come_back() -> Result<()> {
    let x = leaf([1.5f32, 2.5]);
    let y = (x.to_dtype(DType::F64)? * constant([2.0, 3.0]))?;
    let gradients = y.sum(.., false)?.backward()?;
    assert_eq!(gradients.get(&x).unwrap().dtype(), DType::F32);
    close(gradients.get(&x).unwrap(), &[2.0, 3.0]);
    Ok(())
}

#[test]
fn shapes() {
    let x = normal(&[2, 3, 4], 1);
    both(|i| i[0].reshape([4, -1])?.square(), &[x.clone()]);
    both(|i| i[0].permute([2, 0, 1])?.square(), &[x.clone()]);
    both(|i| i[0].transpose(0, 2)?.contiguous()?.square(), &[x.clone()]);
    both(|i| i[0].expand([5usize, 2, 3, 4])?.square(), &[x.clone()]);
    both(|i| i[0].expand([3usize, 4, 2])?.square(), &[normal(&[4, 1], 2)]);
    both(|i| i[0].narrow(1, 1, 2)?.square(), &[x.clone()]);
    both(|i| i[0].slice(2, 3.., -1)?.square(), &[x.clone()]);
    both(|i| i[0].slice(0, .., 2)?.square(), &[normal(&[7, 2], 3)]);
    both(|i| i[0].slice(0, .., -3)?.slice(1, 1..9, 4)?.square(), &[normal(&[8, 10], 3)]);
    both(|i| i[0].flip([0, 2])?.square(), &[x.clone()]);
    first(|i| i[0].narrow(1, 1, 0)?.square(), &[x.clone()]);
    both(|i| i[0].pad(&[(1, 0), (0, 2), (1, 1)], 3.0)?.square(), &[x.clone()]);
    both(|i| Tensor::concat(&[&i[0], &i[1], &i[0]], 1)?.square(), &[normal(&[2, 3], 1), normal(&[2, 1], 2)]);
    both(|i| Tensor::concat(&[&i[0], &x, &i[0]], 0)?.square(), &[x.clone()]);
    both(|i| Tensor::stack(&[&i[0], &i[1]], 1)?.square(), &[normal(&[2, 3], 1), normal(&[2, 3], 2)]);
    both(|i| i[0].select(1, -1)?.square(), &[x.clone()]);
    both(|i| i[0].tril(0)?.square(), &[x]);
}

#[test]
fn reductions() {
    for (shape, axes) in [
        (&[2usize, 3, 2][..], &[0isize, 2][..]),
        (&[2, 3, 2], &[1]),
        (&[2, 3], &[]),
        (&[4], &[0]),
        (&[], &[]),
        (&[0, 3], &[0]),
        (&[3, 0], &[0]),
    ] {
        let x = spread(shape, 1);
        for keep_dims in [false, true] {
            both(|i| i[0].sum(axes, keep_dims)?.square(), &[x.clone()]);
            both(|i| i[0].prod(axes, keep_dims), &[x.clone()]);
            if !shape.contains(&0) {
                both(|i| i[0].mean(axes, keep_dims)?.square(), &[x.clone()]);
                both(|i| i[0].logsumexp(axes, keep_dims), &[x.clone()]);
                both(|i| i[0].max(axes, keep_dims)?.square(), &[x.clone()]);
                both(|i| i[0].min(axes, keep_dims)?.square(), &[x.clone()]);
                both(|i| i[0].var(axes, 0, keep_dims)?.square(), &[x.clone()]);
            }
        }
    }
    both(|i| i[0].var([0, 1], 1, false), &[normal(&[3, 4], 2)]);
    both(|i| i[0].cumsum(1)?.square(), &[normal(&[2, 4], 2)]);
    both(|i| i[0].cumsum(0)?.square(), &[normal(&[3, 2], 2)]);
}

#[test]
fn products_with_zeros() -> Result<()> {
    let by = |values: &[f64]| grad(|i| i[0].prod(.., false), &[constant(values)]);
    close(&by(&[2.0, 0.0, 3.0])?[0], &[0.0, 6.0, 0.0]);
    close(&by(&[0.0, 0.0, 3.0])?[0], &[0.0, 0.0, 0.0]);
    close(&by(&[2.0, 4.0, 0.5, 1.0, 3.0])?[0], &[6.0, 3.0, 24.0, 12.0, 4.0]);
    // Second derivatives at zeros too: ∂²(xyz)/∂x∂y = z.
    both(|i| i[0].prod(.., false), &[constant([2.0, 0.0, 3.0])]);
    both(|i| i[0].prod(1, false), &[constant([[0.0, 0.0, 3.0], [1.0, 0.0, 2.0]])]);
    Ok(())
}

#[test]
fn ties_share() -> Result<()> {
    let x = constant([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]);
    let third = 1.0 / 3.0;
    close(
        &grad(|i| i[0].max(1, false)?.sum(.., false), std::slice::from_ref(&x))?[0],
        &[0.0, 0.5, 0.5, third, third, third],
    );
    let pair = [constant([1.0, 2.0, 3.0]), constant([2.0, 2.0, 2.0])];
    let gradients = grad(|i| i[0].maximum(&i[1])?.sum(.., false), &pair)?;
    close(&gradients[0], &[0.0, 0.5, 1.0]);
    close(&gradients[1], &[1.0, 0.5, 0.0]);
    let gradients = grad(|i| i[0].minimum(&i[1])?.sum(.., false), &pair)?;
    close(&gradients[0], &[1.0, 0.5, 0.0]);
    Ok(())
}

#[test]
fn subgradients_at_zero() -> Result<()> {
    let at_zero = |kind| grad(|i| i[0].unary(kind), &[constant(0.0)]);
    for kind in [Unary::Abs, Unary::Relu, Unary::Sign] {
        close(&at_zero(kind)?[0], &[0.0]);
    }
    // 0⁰ = 1 with gradient 0 to the base; the gradient to the exponent is 0 at a zero base.
    let gradients = grad(|i| i[0].pow(&i[1])?.sum(.., false), &[constant([0.0, 0.0, 0.0]), constant([0.0, 1.0, 2.0])])?;
    close(&gradients[0], &[0.0, 1.0, 0.0]);
    close(&gradients[1], &[0.0, 0.0, 0.0]);
    Ok(())
}

#[test]
fn products() {
    let shapes: [(&[usize], &[usize]); 8] = [
        (&[2, 3], &[3, 4]),
        (&[5, 2, 3], &[5, 3, 2]),
        (&[5, 2, 3], &[3, 2]),
        (&[2, 3], &[4, 3, 2]),
        (&[2, 1, 2, 3], &[3, 3, 2]),
        (&[1, 2, 3], &[4, 3, 2]),
        (&[2, 0], &[0, 3]),
        (&[0, 2, 3], &[3, 2]),
    ];
    for (left, right) in shapes {
        both(|i| i[0].matmul(&i[1]), &[normal(left, 1), normal(right, 2)]);
    }
    both(|i| i[0].matmul(&i[1]), &[normal(&[3], 1), normal(&[3], 2)]);
    both(|i| i[0].matmul(&i[1]), &[normal(&[2, 3], 1), normal(&[3], 2)]);
    both(|i| i[0].t()?.matmul(&i[0]), &[normal(&[2, 3], 1)]);
}

#[test]
fn by_index() {
    let index = constant([[0i64, 2], [2, 2]]);
    both(|i| i[0].gather(1, &index)?.square(), &[normal(&[3, 3], 1)]);
    both(|i| i[0].scatter_add(1, &index, &i[1])?.square(), &[normal(&[3, 3], 1), normal(&[2, 2], 2)]);
    let index = constant([3i64, 0, 3]);
    both(|i| i[0].index_select(0, &index)?.square(), &[normal(&[4, 2], 1)]);
    both(|i| i[0].index_add(0, &index, &i[1])?.square(), &[normal(&[4, 2], 1), normal(&[3, 2], 2)]);
    for descending in [false, true] {
        both(|i| i[0].sort(1, descending)?.0.square(), &[spread(&[2, 5], 1)]);
    }
    both(|i| i[0].topk(2, 0, true)?.0.square(), &[spread(&[5, 2], 1)]);
}

#[test]
fn activations() {
    for kind in Activation::ALL {
        both(|i| i[0].activate(kind), &[spread(&[2, 4], 1)]);
        for x in [normal(&[4, 3], 1), normal(&[2, 2, 3], 1), normal(&[3], 1)] {
            both(|i| i[0].linear(&i[1], Some(&i[2]), kind), &[x.clone(), normal(&[2, 3], 2), normal(&[2], 3)]);
            first(|i| i[0].linear(&normal(&[2, 3], 2), None, kind), &[x.clone()]);
            first(|i| x.linear(&i[0], Some(&normal(&[2], 3)), kind), &[normal(&[2, 3], 2)]);
            first(|i| x.linear(&normal(&[2, 3], 2), Some(&i[0]), kind), &[normal(&[2], 3)]);
        }
    }
}

#[test]
fn softmax_and_layer_norm() {
    for axis in [0, 1] {
        both(|i| i[0].softmax(axis), &[normal(&[3, 4], 1)]);
        both(|i| i[0].log_softmax(axis), &[normal(&[3, 4], 1)]);
    }
    both(|i| i[0].layer_norm(1, None, 1e-5), &[normal(&[3, 4], 1)]);
    both(
        |i| i[0].layer_norm(2, Some((&i[1], &i[2])), 1e-3),
        &[normal(&[2, 2, 3], 1), normal(&[2, 3], 2), normal(&[2, 3], 3)],
    );
    first(|i| normal(&[4, 3], 1).layer_norm(1, Some((&i[0], &i[1])), 1e-3), &[normal(&[3], 2), normal(&[3], 3)]);
}

#[test]
fn losses() {
    let target = constant([2i64, 0, 1]);
    let weight = positive(&[4], 3);
    for reduction in [ReductionKind::Mean, ReductionKind::Sum, ReductionKind::None] {
        for label_smoothing in [0.0, 0.1] {
            for ignore_index in [None, Some(0)] {
                for weight in [None, Some(&weight)] {
                    let options = CrossEntropy {
                        reduction,
                        label_smoothing: Real::new(label_smoothing),
                        ignore_index,
                        ..CrossEntropy::default()
                    };
                    both(|i| i[0].cross_entropy_with(&target, weight, options), &[normal(&[3, 4], 1)]);
                }
            }
        }
        let options = BinaryCrossEntropy { reduction, ..BinaryCrossEntropy::default() };
        let target = Tensor::uniform([2usize, 3], 0.0, 1.0, DType::F64, &Generator::new(5), plain()).unwrap();
        both(|i| i[0].binary_cross_entropy_with(&target, options), &[normal(&[2, 3], 1)]);
        // The target's own gradient goes by the decomposition.
        both(|i| i[0].binary_cross_entropy_with(&i[1], options), &[normal(&[2, 3], 1), target]);
    }
    // Class weights can be learned too.
    let options = CrossEntropy::default();
    first(|i| i[0].cross_entropy_with(&target, Some(&i[1]), options), &[normal(&[3, 4], 1), weight]);
}

#[test]
fn a_loss_multiplies_what_flows_into_it() -> Result<()> {
    // The saved gradient is used as it is only where the pass starts at the loss.
    let logits = leaf([[0.1, 0.2, 0.3]]);
    let target = constant([1i64]);
    let loss = logits.cross_entropy(&target)?;
    let alone = loss.backward_retaining()?.get(&logits).unwrap().to_vec::<f64>()?;
    let scaled = ((&loss * 3.0)? + &loss)?.backward()?.get(&logits).unwrap().clone();
    close(&scaled, &alone.iter().map(|gradient| 4.0 * gradient).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn strided_inputs() {
    let x = normal(&[4, 6], 1);
    let views = [
        x.t().unwrap(),
        x.slice(1, .., -2).unwrap(),
        x.narrow(0, 1, 1).unwrap().expand([3usize, 6]).unwrap(),
        x.slice(0, 1.., 2).unwrap().t().unwrap(),
    ];
    for view in views {
        both(|i| (&i[0] * i[0].sigmoid())?.sum(0, false), &[view.clone()]);
        both(|i| i[0].softmax(-1), &[view.clone()]);
        both(|i| i[0].matmul(&i[0].t()?), &[view]);
    }
}
