//! Results that were worked out by hand, or that follow from the definition in `Op`'s documentation.

use osnova_reference::ReferenceDevice;
use osnova_tensor::random::{Distribution, Stream, generate};
use osnova_tensor::*;

fn device() -> Device {
    Device::reference()
}

fn tensor(values: impl NestedArray) -> Tensor {
    Tensor::new(values, device()).unwrap()
}

fn f64s(tensor: &Tensor) -> Vec<f64> {
    tensor.to_host().unwrap().to_f64()
}

#[test]
fn matrices_multiply_with_broadcast_batches() {
    let left = Tensor::arange(0, 12, 1, device()).unwrap().reshape([2, 2, 3]).unwrap();
    let right = tensor([[1i64, 0], [0, 1], [2, 2]]);
    let product = left.matmul(&right).unwrap();
    assert_eq!(product.dims(), [2, 2, 2]);
    assert_eq!(product.to_vec::<i64>().unwrap(), [4, 5, 13, 14, 22, 23, 31, 32]);
    let nothing = Tensor::zeros([2, 0], DType::F32, device()).unwrap();
    assert_eq!(f64s(&nothing.matmul(&nothing.t().unwrap()).unwrap()), [0.0; 4]);
}

#[test]
fn results_are_rounded_once_to_their_dtype() {
    // 2048 + 1 needs 12 bits, f16 has 11: each partial sum in f16 would stay at 2048.
    let x = tensor([2048.0, 1.0, 1.0, 1.0]).to_dtype(DType::F16).unwrap();
    assert_eq!(x.sum(.., false).unwrap().item().unwrap(), 2052.0);
    let third = (tensor(1.0f32) / tensor(3.0f32)).unwrap();
    assert_eq!(third.to_scalar::<f32>().unwrap(), 1.0f32 / 3.0);
    assert_eq!(tensor(0.1).to_dtype(DType::BF16).unwrap().item().unwrap(), bf16::from_f64(0.1).to_f64());
}

#[test]
fn integers_wrap_and_truncate() {
    let x = tensor([250u8, 3]);
    assert_eq!((&x + 10u8).unwrap().to_vec::<u8>().unwrap(), [4, 13]);
    assert_eq!(x.not().unwrap().to_vec::<u8>().unwrap(), [5, 252]);
    let big = tensor([i64::MAX, i64::MIN, 7]);
    assert_eq!((&big + 1).unwrap().to_vec::<i64>().unwrap(), [i64::MIN, i64::MIN + 1, 8]);
    assert_eq!((&big / -1).unwrap().to_vec::<i64>().unwrap(), [-i64::MAX, i64::MIN, -7]);
    assert_eq!((&big / 0).unwrap().to_vec::<i64>().unwrap(), [0; 3]);
    assert_eq!((tensor([-7i32, 7]) / 2).unwrap().to_vec::<i32>().unwrap(), [-3, 3]);
    let powers = tensor([3i64, 2, -1, 0, 0, -2]).pow(tensor([4i64, -1, -3, -1, 0, 63])).unwrap();
    assert_eq!(powers.to_vec::<i64>().unwrap(), [81, 0, -1, 0, 1, i64::MIN]);
}

#[test]
fn casts_saturate_wrap_and_test() {
    let x = tensor([-1.5f32, 300.7, f32::NAN, f32::INFINITY, 0.0]);
    assert_eq!(x.to_dtype(DType::U8).unwrap().to_vec::<u8>().unwrap(), [0, 255, 0, 255, 0]);
    assert_eq!(x.to_dtype(DType::Bool).unwrap().to_vec::<bool>().unwrap(), [true, true, true, true, false]);
    assert_eq!(tensor([-1i64, 258]).to_dtype(DType::U8).unwrap().to_vec::<u8>().unwrap(), [255, 2]);
    // The nearest f32 to 2^60 + 2^36 + 1; rounding to f64 first would tie down to 2^60.
    let odd = (1i64 << 60) + (1 << 36) + 1;
    assert_eq!(tensor(odd).to_dtype(DType::F32).unwrap().to_scalar::<f32>().unwrap(), odd as f32);
}

#[test]
fn nan_wins_where_it_should() {
    let nan = f64::NAN;
    let (x, y) = (tensor([nan, 1.0, 2.0]), tensor([0.0, nan, 1.0]));
    for result in [x.maximum(&y).unwrap(), x.minimum(&y).unwrap()] {
        let values = f64s(&result);
        assert!(values[0].is_nan() && values[1].is_nan() && !values[2].is_nan(), "{values:?}");
    }
    assert!(x.max(.., false).unwrap().item().unwrap().is_nan());
    assert!(f64s(&x.clamp(0.0, 1.0).unwrap())[0].is_nan());
    assert!(f64s(&x.relu().unwrap())[0].is_nan() && f64s(&x.sign().unwrap())[0].is_nan());
    assert_eq!(y.argmax(0, false).unwrap().to_scalar::<i64>().unwrap(), 1);
    assert_eq!(y.argmin(0, false).unwrap().to_scalar::<i64>().unwrap(), 1);
    assert_eq!(x.equal(&x).unwrap().to_vec::<bool>().unwrap(), [false, true, true]);
    assert_eq!(x.greater_equal(&x).unwrap().to_vec::<bool>().unwrap(), [false, true, true]);
}

#[test]
fn nothing_reduces_to_the_neutral_element() {
    let empty = Tensor::zeros([2, 0], DType::I32, device()).unwrap();
    assert_eq!(empty.sum(1, false).unwrap().to_vec::<i32>().unwrap(), [0, 0]);
    assert_eq!(empty.prod(1, false).unwrap().to_vec::<i32>().unwrap(), [1, 1]);
    assert_eq!(empty.max(1, false).unwrap().to_vec::<i32>().unwrap(), [i32::MIN; 2]);
    assert_eq!(empty.min(1, true).unwrap().to_vec::<i32>().unwrap(), [i32::MAX; 2]);
    let empty = Tensor::zeros(0, DType::Bool, device()).unwrap();
    assert!(!empty.max(0, false).unwrap().to_scalar::<bool>().unwrap());
    assert!(empty.min(0, false).unwrap().to_scalar::<bool>().unwrap());
    assert_eq!(
        Tensor::zeros(0, DType::F16, device()).unwrap().max(0, false).unwrap().item().unwrap(),
        f64::NEG_INFINITY
    );
}

#[test]
fn reductions_go_along_their_axes() {
    let x = Tensor::arange(0, 24, 1, device()).unwrap().reshape([2, 3, 4]).unwrap();
    let sums = x.sum([0, 2], false).unwrap();
    assert_eq!(sums.to_vec::<i64>().unwrap(), [60, 92, 124]);
    let running = tensor([[1i32, 2, 3], [4, 5, 6]]);
    assert_eq!(running.cumsum(1).unwrap().to_vec::<i32>().unwrap(), [1, 3, 6, 4, 9, 15]);
    let reverse = Tensor::apply(&Op::CumulativeSum { axis: 0, reverse: true }, [running.clone()]).unwrap();
    assert_eq!(reverse[0].to_vec::<i32>().unwrap(), [5, 7, 9, 4, 5, 6]);
    assert_eq!(running.t().unwrap().argmax(0, false).unwrap().to_vec::<i64>().unwrap(), [2, 2]);
}

#[test]
fn sorting_is_stable_and_puts_nan_at_the_top() {
    let x = tensor([2.0, f64::NAN, 1.0, 2.0, f64::NEG_INFINITY, -0.0, 0.0]);
    let (_, up) = x.sort(0, false).unwrap();
    assert_eq!(up.to_vec::<i64>().unwrap(), [4, 5, 6, 2, 0, 3, 1]);
    let (values, down) = x.sort(0, true).unwrap();
    assert_eq!(down.to_vec::<i64>().unwrap(), [1, 0, 3, 2, 5, 6, 4]);
    assert!(f64s(&values)[0].is_nan());
}

#[test]
fn gathering_and_scattering_are_adjoint() {
    let x = tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    let index = tensor([[2i64, 0], [2, 1]]);
    assert_eq!(f64s(&x.gather(0, &index).unwrap()), [5.0, 2.0, 5.0, 4.0]);
    let source = tensor([[10.0, 20.0], [30.0, 40.0]]);
    assert_eq!(f64s(&x.scatter_add(0, &index, &source).unwrap()), [1.0, 22.0, 3.0, 44.0, 45.0, 6.0]);
    let rows = tensor([2i64, 2]);
    assert_eq!(f64s(&x.index_select(0, &rows).unwrap()), [5.0, 6.0, 5.0, 6.0]);
    assert_eq!(f64s(&x.index_add(0, &rows, &source).unwrap()), [1.0, 2.0, 3.0, 4.0, 45.0, 66.0]);
}

#[test]
fn an_index_out_of_range_is_named() {
    let x = tensor([[1.0, 2.0]]);
    let message = x.gather(1, &tensor([[0i64, 2]])).unwrap_err().to_string();
    assert!(message.contains("index 2") && message.contains("axis 1") && message.contains("size 2"), "{message}");
    let message = x.index_select(0, &tensor([-1i64])).unwrap_err().to_string();
    assert!(message.contains("index -1") && message.contains("size 1"), "{message}");
}

#[test]
fn movement_keeps_every_value() {
    let x = tensor([[1u8, 2], [3, 4]]);
    assert_eq!(x.pad(&[(1, 0), (0, 1)], 9).unwrap().to_vec::<u8>().unwrap(), [9, 9, 9, 1, 2, 9, 3, 4, 9]);
    let flipped = x.flip(1).unwrap();
    let joined = Tensor::concat(&[&x, &flipped.narrow(1, 0, 1).unwrap()], 1).unwrap();
    assert_eq!(joined.to_vec::<u8>().unwrap(), [1, 2, 2, 3, 4, 4]);
    // A reshape that no strides can express copies.
    assert_eq!(x.t().unwrap().reshape(4usize).unwrap().to_vec::<u8>().unwrap(), [1, 3, 2, 4]);
}

#[test]
fn random_numbers_are_those_of_the_stream() {
    let generator = Generator::new(5);
    let x = Tensor::normal([3, 3], 0.0, 1.0, DType::F64, &generator, device()).unwrap();
    let normal = Distribution::Normal { mean: Real::new(0.0), standard_deviation: Real::new(1.0) };
    assert_eq!(x.to_host().unwrap(), generate(normal, Stream { seed: 5, counter: 0 }, 9, DType::F64).unwrap());
}

#[test]
fn composites_run_by_their_parts() {
    let x = tensor([[0.0, 2f64.ln()], [f64::NEG_INFINITY, f64::NEG_INFINITY]]);
    assert_eq!(f64s(&x.narrow(0, 0, 1).unwrap().softmax(1).unwrap()), [1.0 / 3.0, 2.0 / 3.0]);
    assert_eq!(f64s(&x.logsumexp(1, false).unwrap())[1], f64::NEG_INFINITY);
    let direct = device().backend().execute(
        device(),
        &Op::Softmax { axis: 0 },
        Inputs::from_iter([x.clone()]),
        &[Meta::new(*x.shape(), x.dtype())],
    );
    assert!(matches!(*direct.unwrap_err(), Error::Device { .. }));
}

#[test]
fn the_device_is_one() {
    assert_eq!(Device::reference(), Device::reference());
    assert_eq!(Device::reference().name(), "reference");
}
