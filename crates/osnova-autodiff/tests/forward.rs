//! Forward mode: tangents by hand, forms for functions, and every order of both modes over each other.

mod common;

use common::{close, constant, leaf, plain, recording};
use osnova_autodiff::{
    AutodiffDevice, CheckedDevice, Dual, ForwardDevice, ProfiledDevice, directional_derivative, grad, hessian, hvp,
    jacobian, jacobian_forward, jvp, vjp,
};
use osnova_tensor::{
    Activation, Custom, CustomOp, DType, Error, Generator, Inputs, Meta, Metas, Op, Outputs, Real, Result, Tensor,
};
use smallvec::smallvec;

fn normal(shape: &[usize], seed: u64) -> Tensor {
    Tensor::normal(shape, 0.0, 1.0, DType::F64, &Generator::new(seed), plain()).unwrap()
}

#[test]
fn tangents_by_hand() -> Result<()> {
    let device = plain().forward_mode();
    assert_eq!(device, plain().forward_mode());
    assert_eq!(device.name(), format!("forward({})", plain()));
    let x = constant([1.0, 2.0]).to_device(device)?;
    assert!(x.tangent()?.is_none());
    let x = x.with_tangent(&constant([1.0, -1.0]))?;
    let y = (x.square()? * constant([10.0, 100.0]))?;
    close(&y, &[10.0, 400.0]);
    let tangent = y.tangent()?.unwrap();
    assert_eq!(tangent.device(), plain());
    close(&tangent, &[20.0, -400.0]);
    // A new tangent replaces the old one; a detached value has none, on the plain device.
    close(&y.with_tangent(&constant([1.0, 2.0]))?.tangent()?.unwrap(), &[1.0, 2.0]);
    assert_eq!(y.detach().device(), plain());
    assert!((y.detach() * &x)?.tangent()?.is_some());
    // Constants do not move, nor do positions and comparisons.
    let still = constant([1.0, 2.0]).to_device(device)?;
    assert!((&still * &still)?.tangent()?.is_none());
    assert!(x.argmax(0, false)?.tangent()?.is_none());
    assert!(x.greater(0.0)?.to_dtype(DType::F64)?.tangent()?.is_none());
    assert!(x.floor()?.tangent()?.is_none());
    Ok(())
}

#[test]
fn tangents_that_do_not_fit_are_refused() -> Result<()> {
    let x = constant([1.0, 2.0]);
    assert!(matches!(*x.with_tangent(&x).unwrap_err(), Error::Gradient { .. }));
    assert!(matches!(*x.tangent().unwrap_err(), Error::Gradient { .. }));
    let x = x.to_device(plain().forward_mode())?;
    assert!(matches!(*x.with_tangent(&constant([1.0])).unwrap_err(), Error::Shape { .. }));
    assert!(matches!(*x.with_tangent(&constant([1.0f32, 2.0])).unwrap_err(), Error::DType { .. }));
    let count = constant([1i64]).to_device(plain().forward_mode())?;
    assert!(matches!(*count.with_tangent(&constant([1i64])).unwrap_err(), Error::DType { .. }));
    // There is no record to walk back.
    assert!(matches!(*x.backward().unwrap_err(), Error::Gradient { .. }));
    let x = [constant([1.0, 2.0])];
    assert!(matches!(*jvp(|x| x[0].exp(), &x, &[constant(1.0)]).unwrap_err(), Error::Shape { .. }));
    assert!(matches!(*jvp(|x| x[0].exp(), &x, &[]).unwrap_err(), Error::Shape { .. }));
    assert!(matches!(*jvp(|_| Ok(constant(1.0)), &[], &[]).unwrap_err(), Error::Argument { .. }));
    let elsewhere = constant(1.0).to_device(plain().profiled())?;
    assert!(matches!(*jvp(|_| Ok(elsewhere.clone()), &x, &x).unwrap_err(), Error::Devices { .. }));
    Ok(())
}

#[test]
fn jacobians_times_vectors() -> Result<()> {
    let inputs = [constant([1.0, 2.0]), constant([3.0])];
    let (value, change) = jvp(|x| &x[0] * &x[1], &inputs, &[constant([1.0, 10.0]), constant([100.0])])?;
    assert_eq!((value.device(), change.device()), (plain(), plain()));
    close(&value, &[3.0, 6.0]);
    close(&change, &[103.0, 230.0]);
    close(&directional_derivative(|x| x[0].square()?.sum(.., false), &inputs[..1], &[constant([1.0, -1.0])])?, &[-2.0]);
    // What does not depend on the inputs does not move.
    let (value, change) = jvp(|_| Ok(constant([4.0])), &inputs, &inputs)?;
    close(&value, &[4.0]);
    close(&change, &[0.0]);
    Ok(())
}

#[test]
fn the_jacobian_by_columns_is_the_one_by_rows() -> Result<()> {
    let f = |x: &[Tensor]| (x[0].t()?.matmul(&x[1])? + x[1].square()?.sum(.., false)?)?.tanh();
    let inputs = [normal(&[3, 2], 1), normal(&[3, 2], 2)];
    for (columns, rows) in jacobian_forward(f, &inputs)?.iter().zip(jacobian(f, &inputs)?) {
        assert_eq!(columns.dims(), [2, 2, 3, 2]);
        close(columns, &rows.to_vec::<f64>()?);
    }
    assert_eq!(jacobian_forward(|x| x[0].narrow(0, 0, 0), &[constant([1.0, 2.0])])?[0].dims(), [0, 2]);
    assert_eq!(jacobian_forward(|x| x[0].sum(.., true), &[normal(&[0], 1)])?[0].dims(), [1, 0]);
    close(&jacobian_forward(|_| Ok(constant([1.0, 2.0])), &[constant(5.0)])?[0], &[0.0, 0.0]);
    Ok(())
}

/// A small network with a fused loss, of its weights.
fn network(weights: &[Tensor]) -> Result<Tensor> {
    let (input, target) = (normal(&[5, 3], 7), constant([0i64, 2, 1, 1, 0]));
    let mut hidden = input;
    for kind in [Activation::Tanh, Activation::Gelu, Activation::Sigmoid] {
        hidden = hidden.linear(&weights[0], Some(&weights[1]), kind)?;
    }
    hidden.layer_norm(1, None, 1e-5)?.cross_entropy(&target)
}

#[test]
fn second_derivatives_by_every_order_of_both_modes() -> Result<()> {
    let weights = [normal(&[3, 3], 1), normal(&[3], 2)];
    let directions = [normal(&[3, 3], 3), normal(&[3], 4)];
    let expected = hvp(network, &weights, &directions)?;
    // Reverse over reverse.
    let slope = |weights: &[Tensor]| {
        let gradients = grad(network, weights)?;
        (&gradients[0] * &directions[0])?.sum(.., false)? + (&gradients[1] * &directions[1])?.sum(.., false)?
    };
    let reverse = grad(slope, &weights)?;
    for (number, expected) in expected.iter().enumerate() {
        let expected = expected.to_vec::<f64>()?;
        close(&reverse[number], &expected);
        let forward = jvp(|weights| Ok(grad(network, weights)?.swap_remove(number)), &weights, &directions)?.1;
        close(&forward, &expected);
        let change = |weights: &[Tensor]| Ok(jvp(network, weights, &directions)?.1);
        close(&grad(change, &weights)?[number], &expected);
    }
    // Along the directions twice: uᵀHu.
    let change = |weights: &[Tensor]| Ok(jvp(network, weights, &directions)?.1);
    let twice = jvp(change, &weights, &directions)?.1;
    let products = expected.iter().zip(&directions).map(|(product, direction)| (product * direction)?.sum(.., false));
    let products: f64 = products.map(|product| product?.item()).sum::<Result<f64>>()?;
    close(&twice, &[products]);
    Ok(())
}

#[test]
fn the_hessian_by_forward_over_reverse_is_the_one_by_reverse_over_reverse() -> Result<()> {
    let f = |x: &[Tensor]| (x[0].softmax(0)?.ln()? * x[0].exp()?)?.sum(.., false);
    let x = [normal(&[4], 1)];
    let forward = jacobian_forward(|x| Ok(grad(f, x)?.swap_remove(0)), &x)?;
    close(&forward[0], &hessian(f, &x)?[0][0].to_vec::<f64>()?);
    Ok(())
}

#[test]
fn third_derivatives() -> Result<()> {
    // f = x⁴: f‴ = 24x
    let f = |x: &[Tensor]| x[0].square()?.square();
    let one = || [constant(1.0)];
    let second = |x: &[Tensor]| Ok(jvp(|x| Ok(jvp(f, x, &one())?.1), x, &one())?.1);
    close(&jvp(second, &[constant(2.0)], &one())?.1, &[48.0]);
    close(&grad(second, &[constant(2.0)])?[0], &[48.0]);
    let second = |x: &[Tensor]| Ok(grad(|x| Ok(jvp(f, x, &one())?.1), x)?.swap_remove(0));
    close(&jvp(second, &[constant(2.0)], &one())?.1, &[48.0]);
    Ok(())
}

#[test]
fn directions_of_nested_forms_do_not_mix() -> Result<()> {
    // d/dx [x · d/dy (x + y) at y = 1] = d/dx [x · 1] = 1; mixed up it would be 2.
    let one = || [constant(1.0)];
    let f = |x: &[Tensor]| &x[0] * jvp(|y| &x[0] + &y[0], &one(), &one())?.1;
    close(&jvp(f, &[constant(3.0)], &one())?.1, &[1.0]);
    // The direction itself may be what moves: d/du (J·u) = J.
    let f = |u: &[Tensor]| Ok(jvp(|x| x[0].square(), &[constant(3.0)], &[u[0].clone()])?.1);
    close(&jvp(f, &one(), &one())?.1, &[6.0]);
    close(&grad(f, &one())?[0], &[6.0]);
    // After a panic the levels are free again.
    let panicked = std::panic::catch_unwind(|| jvp(|_| panic!("on purpose"), &one(), &one()).is_ok());
    assert!(panicked.is_err());
    close(&jvp(|x| x[0].square(), &one(), &one())?.1, &[2.0]);
    Ok(())
}

#[test]
fn it_works_beside_a_record() -> Result<()> {
    // On a recording device the change along u can be differentiated by what was captured: d/dw (w·u) = u.
    let w = leaf(3.0);
    let x = constant(2.0).to_device(recording())?;
    let change = jvp(|x| (x[0].square()? * &w)?.sum(.., false), &[x], &[constant(1.0)])?.1;
    assert_eq!(change.device(), recording());
    close(&change, &[12.0]);
    close(change.backward()?.get(&w).unwrap(), &[4.0]);
    // For inputs of the plain device too: a model lives where it is trained.
    let f = |x: &[Tensor]| (x[0].square()? * &w)?.sum(.., false);
    let (x, u) = ([constant(2.0)], [constant(1.0)]);
    let (value, change) = jvp(f, &x, &u)?;
    close(&value, &[12.0]);
    close(value.backward()?.get(&w).unwrap(), &[4.0]);
    close(change.backward()?.get(&w).unwrap(), &[4.0]);
    let product = hvp(f, &x, &u)?.swap_remove(0);
    close(&product, &[6.0]);
    close(product.backward()?.get(&w).unwrap(), &[2.0]);
    // What does not depend on it is as plain as the inputs.
    assert_eq!(jvp(|x| (x[0].square()? * w.detach())?.sum(.., false), &x, &u)?.1.device(), plain());
    Ok(())
}

#[test]
fn kinks_and_ties_are_those_of_reverse_mode() -> Result<()> {
    type Function = fn(&[Tensor]) -> Result<Tensor>;
    let functions: [Function; 8] = [
        |x| x[0].max(.., false),
        |x| x[0].prod(.., false),
        |x| x[0].maximum(&x[1]),
        |x| x[0].pow(&x[1]),
        |x| x[0].clamp(0.0, 1.0),
        |x| x[0].relu(),
        |x| x[0].abs(),
        |x| Ok(x[0].sort(0, true)?.0),
    ];
    let x = [constant([0.0, 1.0, 1.0, 3.0]), constant([0.0, 1.0, 0.5, 2.0])];
    let u = [constant([1.0, 2.0, 4.0, 8.0]), constant([0.0; 4])];
    for (number, f) in functions.iter().enumerate() {
        let (value, change) = jvp(f, &x, &u)?;
        let v = normal(value.dims(), 5);
        let (_, pulled) = vjp(f, &x, &v)?;
        let forward = (v * change)?.sum(.., false)?.item()?;
        let reverse = (&pulled[0] * &u[0])?.sum(.., false)?.item()?;
        assert!((forward - reverse).abs() < 1e-12, "function {number}: {forward} and {reverse}");
    }
    Ok(())
}

#[test]
fn every_float_dtype_keeps_its_own() -> Result<()> {
    for dtype in [DType::F64, DType::F32, DType::BF16, DType::F16] {
        let x = [constant([[0.5, -1.0], [2.0, 0.25]]).to_dtype(dtype)?];
        let u = [constant([[1.0, 2.0], [-1.0, 0.5]]).to_dtype(dtype)?];
        // 2·mean(x·u) over the rows, by one operation on the tangents
        let (_, change) = jvp(|x| x[0].square()?.mean(0, false), &x, &u)?;
        assert_eq!(change.dtype(), dtype);
        close(&change, &[-1.5, -1.875]);
        let (value, change) = jvp(|x| x[0].to_dtype(DType::F32), &x, &u)?;
        assert_eq!((value.dtype(), change.dtype()), (DType::F32, DType::F32));
        close(&change, &[1.0, 2.0, -1.0, 0.5]);
    }
    assert!(matches!(
        *jvp(|x| Ok(x[0].clone()), &[constant(1i64)], &[constant(1i64)]).unwrap_err(),
        Error::DType { .. }
    ));
    Ok(())
}

#[test]
fn an_optimizer_step_is_a_function_like_others() -> Result<()> {
    // p − learning_rate · g
    let sgd = Op::Optimize(osnova_tensor::Optimize::Sgd {
        momentum: Real::new(0.0),
        nesterov: false,
        weight_decay: Real::new(0.0),
    });
    let step = |x: &[Tensor]| {
        let scalars = Tensor::new([0.1f32, 1.0], plain())?;
        Ok(Tensor::apply(&sgd, [scalars, x[0].clone(), x[1].clone()])?.remove(0))
    };
    let (value, change) = jvp(step, &[constant([1.0]), constant([2.0])], &[constant([1.0]), constant([10.0])])?;
    assert!((value.item()? - 0.8).abs() < 1e-7 && change.item()?.abs() < 1e-7, "{value:?} {change:?}");
    Ok(())
}

/// (x·y, sin x) with a derivative of its own, on tensors or by way of the host.
#[derive(Debug)]
struct Own {
    own_derivative: bool,
    by_host: bool,
}

impl CustomOp for Own {
    fn name(&self) -> &'static str {
        "own"
    }
    fn infer(&self, inputs: &[Meta]) -> Result<Metas> {
        Ok(smallvec![inputs[0], inputs[0]])
    }
    fn forward(&self, inputs: Inputs) -> Result<Outputs> {
        Ok(smallvec![(&inputs[0] * &inputs[1])?, inputs[0].sin()?])
    }
    fn backward(&self, x: &[Tensor], _: &[Tensor], g: &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> {
        let zero = x[0].zeros_like()?;
        let [product, sine] = [0, 1].map(|at| g[at].as_ref().unwrap_or(&zero));
        if self.by_host {
            return Ok(Some(vec![Some(sine.detach()), Some(product.detach())]));
        }
        let by_x = ((product * &x[1])? + (sine * x[0].cos()?)?)?;
        Ok(Some(vec![Some(by_x), Some((product * &x[0])?)]))
    }
    fn has_backward(&self) -> bool {
        self.own_derivative
    }
}

#[test]
fn operations_from_other_crates() -> Result<()> {
    let inputs = [constant([1.0, 2.0]), constant([3.0, 4.0])];
    let u = [constant([1.0, 10.0]), constant([100.0, 1000.0])];
    for own_derivative in [true, false] {
        let op = Custom::new(Own { own_derivative, by_host: false });
        let f = |x: &[Tensor]| {
            let outputs = op.apply(x.iter().cloned())?;
            (&outputs[0] * 1.0)? + &outputs[1]
        };
        let change = |x: &[Tensor]| Ok(jvp(f, x, &u)?.1);
        close(&change(&inputs)?, &[103.0 + 1f64.cos(), 2040.0 + 10.0 * 2f64.cos()]);
        // Second derivatives: 2·ẋ·ẏ − ẋ²·sin x along (ẋ, ẏ).
        let twice = [200.0 - 1f64.sin(), 20_000.0 - 100.0 * 2f64.sin()];
        close(&jvp(change, &inputs, &u)?.1, &twice);
        let pulled = vjp(change, &inputs, &constant([1.0, 1.0]))?.1;
        close(&pulled[0], &[100.0 - 1f64.sin(), 1000.0 - 10.0 * 2f64.sin()]);
        close(&pulled[1], &[1.0, 10.0]);
    }
    // A derivative that does not compute with the gradients cannot be turned round.
    let op = Custom::new(Own { own_derivative: true, by_host: true });
    let error = jvp(|x| Ok(op.apply(x.iter().cloned())?.remove(0)), &inputs, &u).unwrap_err();
    assert!(matches!(*error, Error::Gradient { operation: "own", .. }), "{error}");
    Ok(())
}

#[test]
fn checked_and_profiled_go_inside() -> Result<()> {
    assert_eq!(plain().forward_mode().checked(), plain().checked().forward_mode());
    assert_eq!(plain().forward_mode().profiled(), plain().profiled().forward_mode());
    let nested = plain().autodiff().forward_mode().autodiff();
    assert_eq!(nested.checked(), plain().checked().autodiff().forward_mode().autodiff());
    assert_eq!(nested.profiled().checked().depth(), nested.depth() + 2);
    assert_eq!(nested.without_recording(), plain());
    assert_eq!(nested.checked().without_recording(), plain().checked());

    // √0 is 0, its derivative infinite: `checked` looks at tangents too.
    let x = Tensor::new([0.0, 1.0], plain().checked())?;
    let error = jvp(|x| x[0].sqrt(), std::slice::from_ref(&x), std::slice::from_ref(&x)).unwrap_err();
    assert!(matches!(*error, Error::NotFinite { operation: "div", .. }), "{error}");

    let device = plain().checked().checked().profiled().forward_mode();
    device.reset_report();
    let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], device)?.with_tangent(&Tensor::ones([2, 2], DType::F64, plain())?)?;
    x.matmul(&x)?;
    // X·X, Ẋ·X and X·Ẋ.
    assert_eq!(device.report().unwrap().operation("matmul").unwrap().count, 3);
    Ok(())
}

#[test]
fn a_long_chain_needs_no_record() -> Result<()> {
    // ẏ = 0.5ⁿ·ẋ: nothing but the last value and tangent is kept.
    let device = plain().forward_mode();
    let mut y = constant(1.0).to_device(device)?.with_tangent(&constant(1.0))?;
    for _ in 0..1000 {
        y = ((y * 0.5)? + 1.0)?;
    }
    close(&y, &[2.0]);
    close(&y.tangent()?.unwrap(), &[0.5f64.powi(1000)]);
    Ok(())
}
