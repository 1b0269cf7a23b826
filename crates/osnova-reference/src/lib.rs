//! The oracle of [Osnova](https://docs.rs/osnova): every primitive operation, written naively and short enough to check by eye.
//!
//! Other backends are fast; this one is right. `osnova-conformance` runs every operation on a backend and on this one and
//! compares. Read it as the definition of each operation in code, and as the model for a backend of your own
//! (`docs/writing-a-backend.md` builds one step by step).
//!
//! ```
//! use osnova_reference::ReferenceDevice;
//! use osnova_tensor::{Device, Tensor};
//!
//! # fn main() -> osnova_tensor::Result<()> {
//! let device = Device::reference();
//! let x = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], device)?;
//! assert_eq!(x.matmul(&x)?.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
//! # Ok(())
//! # }
//! ```
//!
//! # How it computes
//!
//! - An element is a [`Number`]: an `f64` for every float dtype, an `i64` for integers and `bool`. A kernel never looks at
//!   dtypes; each output is rounded to its dtype once, at the end ([`Number::to`]). So an `f32` sum here is the exact sum of
//!   doubles, rounded once, and `i64` stays exact.
//! - A tensor's storage is a shared row of numbers. Views share it under another layout ([`osnova_tensor::view`]);
//!   kernels read their inputs through the layout, element by element, and write row-major outputs.
//! - Nothing is written in place, nothing runs in parallel, no composite is claimed: those are decomposed by
//!   `osnova-tensor`, and so their decompositions are tested here too.
//!
//! # Where to find what
//!
//! | operations | file |
//! |---|---|
//! | `full`, `arange`, `random` | `create.rs` |
//! | reshape with a copy, `contiguous`, `pad`, `concat` | `movement.rs` |
//! | functions of one, two and three elements, casts | `elementwise.rs` |
//! | sums, extremes, their positions, running sums, sorting | `reduce.rs` |
//! | `matmul` | `matmul.rs` |
//! | gather and scatter | `index.rs` |
//!
//! # Limits
//!
//! It is slow, by design: some 50 ns an element. A sum of more than about 10⁸ `f64` elements loses digits that a pairwise sum keeps.
#![forbid(unsafe_code)]

mod array;
mod create;
mod elementwise;
mod index;
mod matmul;
mod movement;
mod number;
mod reduce;

pub use number::Number;

use array::{Array, Storage};
use osnova_tensor::{
    Backend, Capabilities, DTypeSet, Device, Error, HostData, Inputs, Layout, Meta, Op, Outputs, Result, Shape, Tensor,
};
use std::sync::OnceLock;

/// Gives [`Device`] the constructor of this backend.
pub trait ReferenceDevice {
    /// The oracle. Every call gives the same device.
    fn reference() -> Device;
}

impl ReferenceDevice for Device {
    fn reference() -> Device {
        static DEVICE: OnceLock<Device> = OnceLock::new();
        *DEVICE.get_or_init(|| Device::intern(Reference))
    }
}

/// The backend behind [`ReferenceDevice::reference`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Backend for Reference {
    fn name(&self) -> String {
        "reference".into()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DTypeSet::ALL)
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        let dtype = data.dtype();
        Ok(Tensor::from_parts(device, Layout::contiguous(shape), dtype, Storage::from(number::from_host(data))))
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        Ok(number::to_host(tensor.dtype(), &Array::of("download", tensor)?.values()))
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        if op.is_view()
            && let Some(view) = osnova_tensor::view::<Storage>(op, &inputs[0])
        {
            return Ok(Outputs::from_iter([view]));
        }
        let arrays = inputs.iter().map(|input| Array::of(op.name(), input)).collect::<Result<Vec<_>>>()?;
        let results = compute(op, &arrays, outputs)?;
        let store = |(values, meta): (Vec<Number>, &Meta)| {
            let rounded: Vec<Number> = values.into_iter().map(|value| value.to(meta.dtype)).collect();
            debug_assert_eq!(rounded.len(), meta.shape.count(), "{op:?}");
            Tensor::from_parts(device, Layout::contiguous(meta.shape), meta.dtype, Storage::from(rounded))
        };
        Ok(results.into_iter().zip(outputs).map(store).collect())
    }
}

/// The values of each output, row-major, not yet rounded to its dtype. The operation has passed inference.
fn compute(op: &Op, inputs: &[Array], outputs: &[Meta]) -> Result<Vec<Vec<Number>>> {
    let output = &outputs[0];
    let values = match op {
        // 1. Creation.
        Op::Full { value, .. } => create::full(output, *value),
        Op::Arange { start, step, .. } => create::arange(output, *start, *step),
        Op::Random { distribution, stream, .. } => create::random(output, *distribution, *stream)?,

        // 2. and 3. Views that need a copy, and movement.
        Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } | Op::Slice { .. } | Op::Contiguous => {
            inputs[0].values()
        }
        Op::Pad { padding, value } => movement::pad(&inputs[0], output, padding, *value),
        Op::Concat { axis } => movement::concat(inputs, *axis),

        // 4. Element by element.
        Op::Unary(kind) => elementwise::unary(*kind, &inputs[0], output.dtype).ok_or_else(|| unknown(op))?,
        Op::Binary(kind) => elementwise::binary(*kind, &inputs[0], &inputs[1], output).ok_or_else(|| unknown(op))?,
        Op::Compare(kind) => elementwise::compare(*kind, &inputs[0], &inputs[1], &output.shape),
        Op::Clamp { low, high } => elementwise::clamp(&inputs[0], *low, *high, output.dtype),
        Op::Where => elementwise::choose(inputs, &output.shape),
        Op::Cast { dtype } => elementwise::cast(&inputs[0], *dtype),

        // 5. Reductions.
        Op::Reduce { kind, axes, .. } => reduce::reduce(*kind, &inputs[0], axes, output.dtype),
        Op::ArgReduce { kind, axis, .. } => reduce::position(*kind, &inputs[0], *axis),
        Op::CumulativeSum { axis, reverse } => reduce::running_sum(&inputs[0], *axis, *reverse),
        Op::Sort { axis, descending } => return Ok(reduce::sort(&inputs[0], *axis, *descending)),

        // 6. Contraction.
        Op::Matmul => matmul::matmul(&inputs[0], &inputs[1], output),

        // 7. By index.
        Op::Gather { axis } => index::gather(&inputs[0], &inputs[1], *axis)?,
        Op::ScatterAdd { axis } => index::scatter_add(inputs, *axis)?,
        Op::IndexSelect { axis } => index::select(&inputs[0], &inputs[1], *axis)?,
        Op::IndexAdd { axis } => index::add(inputs, *axis)?,

        // 8. and 9. Composites are decomposed before they get here, because this backend claims none.
        op if op.is_composite() => {
            return Err(Error::device(
                "reference",
                format!("{} is no primitive, and the oracle runs primitives alone", op.name()),
                "Run it with `Device::apply` or `Tensor::apply`, which decompose it",
            ));
        }
        // A primitive that is newer than this.
        _ => return Err(unknown(op)),
    };
    Ok(vec![values])
}

#[cold]
fn unknown(op: &Op) -> Box<Error> {
    Error::unknown("reference", op.name())
}
