//! How tensors hold their elements, and how kernels read them.

use crate::Number;
use osnova_tensor::{Axes, Error, Layout, Result, Shape, Tensor};
use std::sync::Arc;

/// What a tensor of this device holds: elements that views share. Cloning it copies a pointer.
#[derive(Clone, Debug)]
pub(crate) struct Storage(Arc<[Number]>);

impl From<Vec<Number>> for Storage {
    fn from(numbers: Vec<Number>) -> Self {
        Self(numbers.into())
    }
}

/// An input as a kernel sees it: elements, and the layout to walk them with.
pub(crate) struct Array<'a> {
    numbers: &'a [Number],
    layout: Layout,
}

impl<'a> Array<'a> {
    /// The elements of a tensor of this device.
    pub(crate) fn of(operation: &'static str, tensor: &'a Tensor) -> Result<Self> {
        let Some(Storage(numbers)) = tensor.storage() else {
            let left = "reference".to_string();
            return Err(Box::new(Error::Devices { operation, left, right: tensor.device().name() }));
        };
        Ok(Self { numbers, layout: *tensor.layout() })
    }

    pub(crate) fn shape(&self) -> &Shape {
        self.layout.shape()
    }

    /// The elements in row-major order.
    pub(crate) fn values(&self) -> Vec<Number> {
        self.read(&self.layout)
    }

    /// The elements repeated to `shape`, which this array broadcasts to, in row-major order.
    pub(crate) fn expanded(&self, shape: &Shape) -> Vec<Number> {
        self.layout.expand(shape).map(|layout| self.read(&layout)).unwrap_or_default()
    }

    /// One list of elements for each position of the axes that are not in `axes`, in row-major order: the elements along `axes`.
    pub(crate) fn lines(&self, axes: &[usize]) -> Vec<Vec<Number>> {
        let length: usize = axes.iter().map(|&axis| self.shape()[axis]).product();
        let lines = self.shape().reduced(axes, false).count();
        let order = last(self.shape().rank(), axes);
        let values = self.read(&self.layout.permute(&order));
        (0..lines).map(|line| values[line * length..(line + 1) * length].to_vec()).collect()
    }

    fn read(&self, layout: &Layout) -> Vec<Number> {
        layout.positions().map(|position| self.numbers[position]).collect()
    }
}

/// The inverse of [`Array::lines`] for one axis: lines along `axis` as the row-major values of `shape`.
pub(crate) fn from_lines(shape: &Shape, axis: usize, lines: &[Vec<Number>]) -> Vec<Number> {
    let mut values = vec![Number::Int(0); shape.count()];
    let places = Layout::contiguous(*shape).permute(&last(shape.rank(), &[axis])).positions();
    for (place, &number) in places.zip(lines.iter().flatten()) {
        values[place] = number;
    }
    values
}

/// All axes, with `axes` at the end.
fn last(rank: usize, axes: &[usize]) -> Axes {
    (0..rank).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect()
}

/// The coordinates of each element of `shape`, row-major.
pub(crate) fn coordinates(shape: &Shape) -> impl Iterator<Item = Vec<usize>> {
    let shape = *shape;
    (0..shape.count()).map(move |mut index| {
        let mut coordinates = vec![0; shape.rank()];
        for axis in (0..shape.rank()).rev() {
            coordinates[axis] = index % shape[axis];
            index /= shape[axis];
        }
        coordinates
    })
}

/// The row-major place of the element at `coordinates` of `shape`.
pub(crate) fn place(shape: &Shape, coordinates: &[usize]) -> usize {
    shape.iter().zip(coordinates).fold(0, |place, (size, coordinate)| place * size + coordinate)
}
