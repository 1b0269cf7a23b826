//! Half types: composites and derivatives are computed in `f32` and rounded once. Held against f64 at the same inputs, on the CPU's kernels and,
//! on the oracle, by the decompositions.

use osnova_autodiff::{AutodiffDevice, jvp, vjp};
use osnova_cpu::CpuDevice;
use osnova_reference::ReferenceDevice;
use osnova_tensor::{Activation, CrossEntropy, DType, Device, Generator, HostData, ReductionKind, Result, Tensor};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

fn devices() -> [Device; 2] {
    [Device::cpu(), Device::reference()]
}

/// `count` normally distributed numbers, times `size`.
fn normal(shape: &[usize], size: f64, seed: u64) -> Vec<f64> {
    let device = Device::reference();
    Tensor::normal(shape, 0.0, size, DType::F64, &Generator::new(seed), device).unwrap().to_vec().unwrap()
}

/// The values as `dtype` has them, as a tensor of that dtype and as one of f64.
fn both(values: &[f64], shape: &[usize], dtype: DType, device: Device) -> (Tensor, Tensor) {
    let rounded = HostData::from_f64(dtype, values);
    let exact = Tensor::from_vec(rounded.to_f64(), shape, Device::reference()).unwrap();
    (Tensor::from_vec(rounded.to_f64(), shape, device).unwrap().to_dtype(dtype).unwrap(), exact)
}

/// The distance between neighbours of `dtype` around `value`.
fn unit(value: f64, dtype: DType) -> f64 {
    let smallest: f64 = if dtype == DType::F16 { 2f64.powi(-14) } else { f64::from(f32::MIN_POSITIVE) };
    let power = f64::from_bits(value.abs().max(smallest).to_bits() & 0x7ff0_0000_0000_0000);
    power * dtype.epsilon()
}

/// Every element within one unit in the last place of the exact one, and what `f32` may lose of the largest one where terms cancel.
#[track_caller]
fn close(what: &str, actual: &Tensor, exact: &Tensor) {
    let dtype = actual.dtype();
    assert!(HALVES.contains(&dtype), "{what} is {dtype}");
    let (actual, exact) = (actual.to_host().unwrap().to_f64(), exact.to_host().unwrap().to_f64());
    assert_eq!(actual.len(), exact.len());
    let cancelled = 2e-6 * exact.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    for (at, (&actual, &exact)) in actual.iter().zip(&exact).enumerate() {
        let rounded = HostData::from_f64(dtype, &[exact]).to_f64()[0];
        let near = actual == rounded || (actual - exact).abs() <= unit(exact, dtype) + cancelled;
        assert!(near, "{what}, element {at} in {dtype}: {actual:e} instead of {exact:e}");
    }
}

/// Values and gradients of a function of one tensor, in reverse and in forward mode.
#[track_caller]
fn check(what: &str, function: impl Fn(&Tensor) -> Result<Tensor>, values: &[f64], shape: &[usize], size: f64) {
    for dtype in HALVES {
        for device in devices() {
            let (x, exact_x) = both(values, shape, dtype, device);
            let value = function(&x).unwrap();
            let exact_value = function(&exact_x).unwrap();
            close(what, &value, &exact_value);
            let (g, exact_g) = both(&normal(value.dims(), size, 7), value.dims(), dtype, device);
            let pulled = vjp(|x| function(&x[0]), std::slice::from_ref(&x), &g).unwrap().1;
            let exact = vjp(|x| function(&x[0]), std::slice::from_ref(&exact_x), &exact_g).unwrap().1;
            close(&format!("the gradient of {what}"), &pulled[0], &exact[0]);
            let (u, exact_u) = both(&normal(shape, 1.0, 8), shape, dtype, device);
            let pushed = jvp(|x| function(&x[0]), &[x], &[u]).unwrap().1;
            let exact = jvp(|x| function(&x[0]), &[exact_x], &[exact_u]).unwrap().1;
            close(&format!("the tangent of {what}"), &pushed, &exact);
        }
    }
}

#[test]
fn layer_norm_of_numbers_whose_squares_overflow() {
    for device in devices() {
        for (dtype, size) in [(DType::F16, 300.0), (DType::F16, 60000.0), (DType::BF16, 300.0), (DType::BF16, 1e30)] {
            for epsilon in [1e-5, 1e-12] {
                let x = Tensor::new([size, -size], device).unwrap().to_dtype(dtype).unwrap();
                let y = x.layer_norm(1, None, epsilon).unwrap();
                assert_eq!(y.to_host().unwrap().to_f64(), [1.0, -1.0], "{size} in {dtype}, ε {epsilon}");
            }
        }
    }
}

#[test]
fn composites() {
    let (shape, count) = ([3, 1500], 4500);
    let wide = normal(&shape, 8000.0, 1);
    let narrow = normal(&shape, 2.0, 2);
    check("softmax", |x| x.softmax(1), &narrow, &shape, 1000.0);
    check("softmax of columns", |x| x.softmax(0), &narrow, &shape, 1000.0);
    check("log_softmax", |x| x.log_softmax(1), &narrow, &shape, 1.0);
    check("logsumexp", |x| x.logsumexp(1, false), &narrow, &shape, 100.0);
    check("mean", |x| x.mean(1, false), &wide, &shape, 1000.0);
    check("var", |x| x.var(1, 1, false), &narrow, &shape, 1.0);
    check("layer_norm", |x| x.layer_norm(1, None, 1e-5), &wide, &shape, 1.0);
    for activation in Activation::ALL {
        check(activation.name(), |x| x.activate(activation), &narrow, &shape, 10.0);
    }
    let ties: Vec<f64> = (0..count).map(|at| f64::from(at % 3)).collect();
    check("max", |x| x.max(1, false), &ties, &shape, 1000.0);
}

#[test]
fn functions_whose_derivative_takes_several_steps() {
    let values: Vec<f64> = (0..200).map(|at| 0.05 + f64::from(at) * 0.02).collect();
    let shape = [values.len()];
    check("tanh", Tensor::tanh, &values, &shape, 100.0);
    check("sigmoid", |x| x.sigmoid(), &values, &shape, 100.0);
    check("rsqrt", Tensor::rsqrt, &values, &shape, 1.0);
    check("recip", Tensor::recip, &values, &shape, 1.0);
    check("erf", Tensor::erf, &values, &shape, 10.0);
    check("pow", |x| x.pow(3.0), &values, &shape, 1.0);
    check("ln_1p", Tensor::ln_1p, &values, &shape, 1.0);
    check("prod", |x| x.reshape([20, 10])?.prod(1, false), &values, &shape, 1.0);
    check("a quotient", |x| (x + 1.0)?.recip(), &[0.5; 4], &[4], 1.0);
}

#[test]
fn a_fused_layer_rounds_once() {
    let (x_shape, w_shape) = ([5, 300], [4, 300]);
    for dtype in HALVES {
        for device in devices() {
            let (x, exact_x) = both(&normal(&x_shape, 1.0, 1), &x_shape, dtype, device);
            let (w, exact_w) = both(&normal(&w_shape, 0.1, 2), &w_shape, dtype, device);
            let (b, exact_b) = both(&normal(&[4], 1.0, 3), &[4], dtype, device);
            let (g, exact_g) = both(&normal(&[5, 4], 1.0, 4), &[5, 4], dtype, device);
            for activation in Activation::ALL {
                let layer = |inputs: &[Tensor]| inputs[0].linear(&inputs[1], Some(&inputs[2]), activation);
                let name = activation.name();
                let (value, gradients) = vjp(layer, &[x.clone(), w.clone(), b.clone()], &g).unwrap();
                let (exact_value, exact) =
                    vjp(layer, &[exact_x.clone(), exact_w.clone(), exact_b.clone()], &exact_g).unwrap();
                close(name, &value, &exact_value);
                close(name, &layer(&[x.clone(), w.clone(), b.clone()]).unwrap(), &exact_value);
                for (gradient, exact) in gradients.iter().zip(&exact) {
                    close(name, gradient, exact);
                }
            }
        }
    }
}

#[test]
fn a_scaled_loss_does_not_lose_small_gradients() {
    // The mean over 4096 samples makes gradients that f16 cannot hold; the factor that lifts them must meet them before they are rounded.
    let shape = [4096, 3];
    let target: Vec<i64> = (0..4096).map(|at| at % 3).collect();
    for dtype in HALVES {
        for device in devices() {
            let (x, exact_x) = both(&normal(&shape, 4.0, 1), &shape, dtype, device);
            let loss = |x: &Tensor, reduction| {
                let target = Tensor::from_vec(target.clone(), [4096], x.device().without_recording())?;
                x.cross_entropy_with(&target, None, CrossEntropy { reduction, ..CrossEntropy::default() })? * 4096.0
            };
            let gradient = |x: &Tensor| {
                let x = x.to_device(x.device().autodiff())?.into_tracked()?;
                Ok::<_, Box<osnova_tensor::Error>>(
                    loss(&x, ReductionKind::Mean)?.backward()?.get(&x).expect("x is tracked").clone(),
                )
            };
            close("the gradient of a scaled loss", &gradient(&x).unwrap(), &gradient(&exact_x).unwrap());
        }
    }
}

#[test]
fn many_gradients_of_one_tensor_add_up() {
    for device in devices() {
        let x =
            Tensor::new([1.0f32], device.autodiff()).unwrap().to_dtype(DType::BF16).unwrap().into_tracked().unwrap();
        let parts: Vec<Tensor> = (0..1000).map(|_| x.clone()).collect();
        let sum = Tensor::concat(&parts, 0).unwrap().sum(.., false).unwrap();
        let gradient = sum.backward().unwrap().get(&x).unwrap().clone();
        assert_eq!(gradient.dtype(), DType::BF16);
        assert_eq!(gradient.to_host().unwrap().to_f64(), [1000.0]);
    }
}

#[test]
fn second_derivatives_keep_the_dtype() {
    for device in devices() {
        let x = Tensor::new([0.5f32, 1.0], device).unwrap().to_dtype(DType::F16).unwrap();
        let curvature = osnova_autodiff::hessian(|x| x[0].layer_norm(1, None, 0.5)?.square()?.sum(.., false), &[x]);
        let curvature = curvature.unwrap();
        assert_eq!(curvature[0][0].dtype(), DType::F16);
    }
}

#[test]
fn sums_by_index_and_running_sums_of_a_half_type_add_up_in_single_precision() {
    for device in devices() {
        for dtype in HALVES {
            let ones = Tensor::ones([5000], dtype, device).unwrap();
            let last = ones.cumsum(0).unwrap().narrow(0, 4999, 1).unwrap().to_host().unwrap().to_f64();
            let expected = HostData::from_f64(dtype, &[5000.0]).to_f64();
            assert_eq!(last, expected, "cumsum");
            let place = Tensor::zeros([5000], DType::I64, device).unwrap();
            let zero = Tensor::zeros([1], dtype, device).unwrap();
            assert_eq!(
                zero.scatter_add(0, &place, &ones).unwrap().to_host().unwrap().to_f64(),
                expected,
                "scatter_add"
            );
            assert_eq!(zero.index_add(0, &place, &ones).unwrap().to_host().unwrap().to_f64(), expected, "index_add");
            assert_eq!(ones.sum(.., false).unwrap().to_host().unwrap().to_f64(), expected, "sum");
            // Doubled and halved in turn: no partial product leaves the range of f32, every one of more leaves that of f16.
            let factors: Vec<f64> = (0..200).map(|at| if at % 2 == 0 { 300.0 } else { 1.0 / 256.0 }).collect();
            let factors = Tensor::from_vec(factors, [200], device).unwrap().to_dtype(dtype).unwrap();
            let product = factors.narrow(0, 0, 20).unwrap().prod(.., false).unwrap().to_host().unwrap().to_f64();
            let exact = factors.narrow(0, 0, 20).unwrap().to_host().unwrap().to_f64().iter().product();
            assert_eq!(product, HostData::from_f64(dtype, &[exact]).to_f64(), "prod");
        }
    }
}
