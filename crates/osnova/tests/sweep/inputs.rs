//! The tensors that everything is called with.

use osnova::prelude::*;

/// Shapes of tensors that have memory: every rank, sizes of 1 in every place, and none.
const SHAPES: [&[usize]; 20] = [
    &[],
    &[1],
    &[3],
    &[2, 3],
    &[3, 3],
    &[1, 4],
    &[2, 1, 3],
    &[1, 2, 2, 3],
    &[2, 1, 2, 1, 3],
    &[1, 2, 1, 2, 1, 3],
    &[2, 1, 1, 2, 1, 1, 3],
    &[1, 2, 1, 1, 2, 1, 1, 3],
    &[0],
    &[0, 3],
    &[3, 0],
    &[2, 0, 3],
    &[0, 0, 0, 0, 0, 0, 0, 0],
    // No elements, but axes that no memory holds.
    &[0, 1 << 40],
    &[1 << 40, 0],
    &[1 << 30, 0, 1 << 20],
];

/// Shapes that a single element is repeated to.
const HUGE: [&[usize]; 7] = [
    &[1 << 40],
    &[1 << 20, 1 << 20],
    &[1 << 40, 3],
    &[3, 1 << 40],
    &[1 << 19, 4, 1 << 19],
    &[32, 32, 32, 32, 32, 32, 32, 32],
    // Not so huge, but more than one piece of anything.
    &[300, 1031],
];

const DTYPES: [DType; 9] =
    [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64, DType::I32, DType::U32, DType::U8, DType::Bool];

/// Every input, with its description.
pub(crate) fn inputs() -> Vec<(String, Tensor)> {
    let device = Device::cpu();
    let mut list = Vec::new();
    for dtype in DTYPES {
        for shape in SHAPES {
            let count: usize = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|index| index as f32 - 1.0).collect();
            let tensor = Tensor::from_vec(values, shape, device).and_then(|values| values.to_dtype(dtype));
            list.push((format!("{dtype} {shape:?}"), tensor.unwrap()));
        }
        for shape in HUGE {
            let one = Tensor::ones((), dtype, device).unwrap();
            list.push((format!("one {dtype} as {shape:?}"), one.expand(shape).unwrap()));
        }
        let view = Tensor::ones([5, 4, 3], dtype, device).unwrap();
        let view = view.transpose(0, 2).and_then(|view| view.narrow(1, 1, 3)).and_then(|view| view.flip(0));
        list.push((format!("a view of {dtype}"), view.unwrap()));
    }
    // The same on a device that records.
    let recorded = device.autodiff();
    for shape in SHAPES.into_iter().chain(HUGE) {
        let one =
            Tensor::ones((), DType::F32, recorded).and_then(|one| one.expand(shape)).and_then(|x| x.into_tracked());
        list.push((format!("recorded f32 {shape:?}"), one.unwrap()));
    }
    list
}
