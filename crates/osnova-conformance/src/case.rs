//! A test case: an operation and the inputs it runs on, described in a few words and made from a seed.

use crate::values::{Values, pick};
use osnova_tensor::{Axes, DType, Device, HostData, Layout, Meta, Op, Result, Shape, SliceRange, Tensor};
use std::fmt;

/// How an input lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrangement {
    /// Row-major from the first element of its storage.
    Contiguous,
    /// Row-major, but not from the first element of its storage.
    Offset,
    /// The axes of a row-major tensor in reverse order.
    Transposed,
    /// Every other element of each axis of a larger tensor.
    Sliced,
    /// Every axis backwards.
    Reversed,
    /// Some axes (by the bits of this number) repeat one element: stride 0.
    Expanded(u8),
}

/// One input.
#[derive(Clone, PartialEq)]
pub(crate) struct Input {
    pub(crate) shape: Shape,
    pub(crate) dtype: DType,
    pub(crate) arrangement: Arrangement,
    pub(crate) values: Values,
    pub(crate) seed: u64,
}

/// An input on a device, with the tensor it is a view of.
pub(crate) struct Placed {
    /// What the view was made of; the same handle as `tensor` if the input is contiguous.
    pub(crate) base: Tensor,
    /// The input.
    pub(crate) tensor: Tensor,
}

impl Input {
    /// What inference needs to know.
    pub(crate) fn meta(&self) -> Meta {
        Meta::new(self.shape, self.dtype)
    }

    /// The shape of the tensor that the input is a view of.
    fn base_shape(&self) -> Result<Shape> {
        let mut dims = self.shape.to_vec();
        match self.arrangement {
            Arrangement::Contiguous | Arrangement::Reversed => {}
            Arrangement::Offset => dims.iter_mut().take(1).for_each(|dim| *dim += 1),
            Arrangement::Transposed => dims.reverse(),
            Arrangement::Sliced => dims.iter_mut().for_each(|dim| *dim = 2 * *dim + 1),
            Arrangement::Expanded(axes) => {
                for (axis, dim) in dims.iter_mut().enumerate() {
                    if axes >> axis & 1 == 1 && *dim > 0 {
                        *dim = 1;
                    }
                }
            }
        }
        Shape::new(&dims)
    }

    /// The view operation that makes the input from its base, if any.
    pub(crate) fn view(&self) -> Option<Op> {
        let ranges = |range: fn(usize, usize) -> SliceRange| {
            let ranges = self.shape.iter().enumerate().map(|(axis, &length)| range(axis, length));
            Some(Op::Slice { ranges: ranges.collect() })
        };
        match self.arrangement {
            Arrangement::Contiguous => None,
            Arrangement::Offset => ranges(|axis, length| SliceRange { start: usize::from(axis == 0), length, step: 1 }),
            Arrangement::Sliced => ranges(|_, length| SliceRange { start: 1, length, step: 2 }),
            Arrangement::Reversed => ranges(|_, length| SliceRange { start: length.max(1) - 1, length, step: -1 }),
            Arrangement::Transposed => Some(Op::Permute { axes: (0..self.shape.rank()).rev().collect::<Axes>() }),
            Arrangement::Expanded(_) => Some(Op::Expand { shape: self.shape }),
        }
    }

    /// The values of the base, row-major.
    pub(crate) fn base(&self) -> Result<(HostData, Shape)> {
        let shape = self.base_shape()?;
        Ok((self.values.generate(self.dtype, shape.count(), self.seed), shape))
    }

    /// The input's own values, row-major.
    pub(crate) fn logical(&self) -> Result<HostData> {
        let (data, shape) = self.base()?;
        let layout = Layout::contiguous(shape);
        let layout = match self.view() {
            Some(Op::Permute { axes }) => layout.permute(&axes),
            Some(Op::Slice { ranges }) => layout.slice(&ranges),
            Some(Op::Expand { shape }) => layout.expand(&shape).unwrap_or(layout),
            _ => layout,
        };
        Ok(pick(&data, layout.positions()))
    }

    /// The input on a device, laid out as it asks.
    pub(crate) fn place(&self, device: Device) -> Result<Placed> {
        let (data, shape) = self.base()?;
        let base = Tensor::from_host(data, shape, device)?;
        let tensor = match self.view() {
            Some(view) => Tensor::apply(&view, [base.clone()])?.remove(0),
            None => base.clone(),
        };
        Ok(Placed { base, tensor })
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrangement = format!("{:?}", self.arrangement).to_lowercase();
        write!(f, "{}{} {arrangement}, {}, seed {}", self.dtype, self.shape, self.values, self.seed)
    }
}

/// An operation and its inputs.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Input>,
}

impl Case {
    /// What inference needs to know of the inputs.
    pub(crate) fn metas(&self) -> Vec<Meta> {
        self.inputs.iter().map(Input::meta).collect()
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.op, self.inputs)
    }
}
