//! Shapes and axes.

use crate::{Error, Result};
use smallvec::SmallVec;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, RangeFull};

/// The largest number of dimensions a tensor can have.
pub const MAX_RANK: usize = 8;

/// Bytes of the widest element: no shape may need more than `isize::MAX` bytes of it.
const WIDEST: usize = 8;

/// The size of a tensor along each of its axes, kept inline. Dereferences to `[usize]`.
///
/// A shape is valid by construction: at most [`MAX_RANK`] dimensions, and its element count fits in memory.
#[derive(Clone, Copy)]
pub struct Shape {
    // Dimensions past the rank are zero, so the whole array can be copied and written wide.
    dims: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// The shape of a single number: no dimensions, one element.
    pub const SCALAR: Self = Self { dims: [0; MAX_RANK], rank: 0 };

    /// A shape with the given sizes.
    ///
    /// # Errors
    /// More than [`MAX_RANK`] sizes, or a product of more than `isize::MAX / 8` elements. Sizes of 0 count as 1 there.
    pub fn new(dims: &[usize]) -> Result<Self> {
        if dims.len() > MAX_RANK {
            return Err(too_many(dims.len()));
        }
        // Zero-size dimensions count as one here: a permuted or expanded view of the shape must stay in bounds too.
        let mut count = WIDEST;
        for &dim in dims {
            count = match count.checked_mul(dim.max(1)) {
                Some(count) if count <= isize::MAX as usize => count,
                _ => {
                    return Err(Error::argument(
                        "shape",
                        format!("a tensor of shape {dims:?} has more elements than any memory holds"),
                        "Make a size smaller",
                    ));
                }
            };
        }
        let mut shape = Self::SCALAR;
        shape.dims[..dims.len()].copy_from_slice(dims);
        shape.rank = dims.len() as u8;
        Ok(shape)
    }

    /// The number of dimensions.
    #[inline]
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// The sizes.
    #[inline]
    pub fn dims(&self) -> &[usize] {
        &self.dims[..(self.rank as usize).min(MAX_RANK)]
    }

    /// The number of elements: the product of the sizes, 1 for a scalar.
    #[inline]
    pub fn count(&self) -> usize {
        self.dims().iter().product()
    }

    /// The shape with `size` at `axis` instead.
    pub(crate) fn with(mut self, axis: usize, size: usize) -> Result<Self> {
        self.dims[axis] = size;
        Self::new(self.dims())
    }

    /// The shape without the axes in `axes`, or with size 1 there if `keep_dims`.
    pub fn reduced(&self, axes: &[usize], keep_dims: bool) -> Self {
        let mut shape = Self::SCALAR;
        for (axis, &dim) in self.dims().iter().enumerate() {
            let size = match (axes.contains(&axis), keep_dims) {
                (false, _) => dim,
                (true, true) => 1,
                (true, false) => continue,
            };
            shape.dims[shape.rank as usize] = size;
            shape.rank += 1;
        }
        shape
    }

    /// The common shape of two shapes under NumPy's rules: aligned at the last axis, sizes equal or one of them 1.
    pub fn broadcast(&self, other: &Self) -> Option<Self> {
        if self == other {
            return Some(*self);
        }
        let (long, short) = if self.rank >= other.rank { (self, other) } else { (other, self) };
        let mut shape = *long;
        let shift = long.rank() - short.rank();
        for (axis, &size) in short.dims().iter().enumerate() {
            let slot = &mut shape.dims[axis + shift];
            *slot = match (*slot, size) {
                (left, right) if left == right => left,
                (1, right) => right,
                (left, 1) => left,
                _ => return None,
            };
        }
        Self::new(shape.dims()).ok()
    }
}

impl Deref for Shape {
    type Target = [usize];
    #[inline]
    fn deref(&self) -> &[usize] {
        self.dims()
    }
}

impl PartialEq for Shape {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // Written out: a byte comparison of the arrays reads back what was just written in smaller pieces.
        self.rank == other.rank && self.dims().iter().zip(other.dims()).all(|(left, right)| left == right)
    }
}

impl Eq for Shape {}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.dims().hash(state);
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self::SCALAR
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

#[cold]
fn too_many(dimensions: usize) -> Box<Error> {
    Error::argument(
        "shape",
        format!("{dimensions} dimensions, but a tensor has at most {MAX_RANK}"),
        "Merge dimensions with `reshape`",
    )
}

/// What can stand for a shape: `[2, 3]`, a slice, a vector, one number, `()` for a scalar, or a [`Shape`].
pub trait IntoShape {
    /// The shape.
    ///
    /// # Errors
    /// See [`Shape::new`].
    fn into_shape(self) -> Result<Shape>;
}

impl IntoShape for Shape {
    fn into_shape(self) -> Result<Shape> {
        Ok(self)
    }
}
impl IntoShape for &Shape {
    fn into_shape(self) -> Result<Shape> {
        Ok(*self)
    }
}
impl IntoShape for () {
    fn into_shape(self) -> Result<Shape> {
        Ok(Shape::SCALAR)
    }
}
impl IntoShape for usize {
    fn into_shape(self) -> Result<Shape> {
        Shape::new(&[self])
    }
}
impl<const N: usize> IntoShape for [usize; N] {
    fn into_shape(self) -> Result<Shape> {
        Shape::new(&self)
    }
}
impl IntoShape for &[usize] {
    fn into_shape(self) -> Result<Shape> {
        Shape::new(self)
    }
}
impl IntoShape for &Vec<usize> {
    fn into_shape(self) -> Result<Shape> {
        Shape::new(self)
    }
}
impl IntoShape for Vec<usize> {
    fn into_shape(self) -> Result<Shape> {
        Shape::new(&self)
    }
}

/// What can stand for the target of a reshape: a shape, or sizes of which one may be −1 ("whatever is left").
pub trait IntoReshape {
    /// The target shape for a tensor with `count` elements.
    ///
    /// # Errors
    /// More than one −1, another negative size, or sizes that do not divide `count`.
    fn into_reshape(self, from: &Shape) -> Result<Shape>;
}

fn resolve_reshape(sizes: &[isize], from: &Shape) -> Result<Shape> {
    let fail = |problem: String| {
        Error::shape(
            "reshape",
            [*from],
            problem,
            "Give sizes whose product is the number of elements, at most one of them -1",
        )
    };
    if sizes.len() > MAX_RANK {
        return Err(too_many(sizes.len()));
    }
    let mut unknown = None;
    let mut known = 1usize;
    let mut dims: SmallVec<[usize; MAX_RANK]> = SmallVec::new();
    for (axis, &size) in sizes.iter().enumerate() {
        match size {
            -1 if unknown.is_none() => {
                unknown = Some(axis);
                dims.push(1);
            }
            0.. => {
                known = known.checked_mul(size as usize).ok_or_else(|| fail(format!("{sizes:?} overflows")))?;
                dims.push(size as usize);
            }
            _ => {
                return Err(fail(format!("{sizes:?} holds more than one -1 or another negative size")));
            }
        }
    }
    if let Some(axis) = unknown {
        let count = from.count();
        if known == 0 || !count.is_multiple_of(known) {
            return Err(fail(format!("{count} elements do not divide into {sizes:?}")));
        }
        dims[axis] = count / known;
    }
    Shape::new(&dims)
}

macro_rules! reshape_from_shape {
    ($($kind:ty),*) => {$(
        impl IntoReshape for $kind {
            fn into_reshape(self, _: &Shape) -> Result<Shape> { self.into_shape() }
        }
    )*};
}
reshape_from_shape!(Shape, &Shape, (), usize, &[usize], Vec<usize>, &Vec<usize>);
impl<const N: usize> IntoReshape for [usize; N] {
    fn into_reshape(self, _: &Shape) -> Result<Shape> {
        self.into_shape()
    }
}
impl<const N: usize> IntoReshape for [i32; N] {
    fn into_reshape(self, from: &Shape) -> Result<Shape> {
        resolve_reshape(&self.map(|size| size as isize), from)
    }
}
impl<const N: usize> IntoReshape for [isize; N] {
    fn into_reshape(self, from: &Shape) -> Result<Shape> {
        resolve_reshape(&self, from)
    }
}
impl IntoReshape for &[isize] {
    fn into_reshape(self, from: &Shape) -> Result<Shape> {
        resolve_reshape(self, from)
    }
}

/// A list of axes, each counted from the front.
pub type Axes = SmallVec<[usize; 4]>;

/// What can stand for one or several axes: `0`, `-1`, `[0, -1]`, a slice, or `..` for all. Negative axes count from the back.
pub trait IntoAxes {
    /// The axes counted from the front, in the given order.
    ///
    /// # Errors
    /// An axis out of range for `rank`, or one named twice.
    fn into_axes(self, operation: &'static str, rank: usize) -> Result<Axes>;
}

/// One axis counted from the front.
pub(crate) fn resolve_axis(operation: &'static str, axis: isize, rank: usize) -> Result<usize> {
    let resolved = if axis < 0 { rank.checked_sub(axis.unsigned_abs()) } else { Some(axis as usize) };
    match resolved {
        Some(resolved) if resolved < rank => Ok(resolved),
        _ => Err(no_such_axis(operation, axis, rank)),
    }
}

#[cold]
fn no_such_axis(operation: &'static str, axis: impl fmt::Display, rank: usize) -> Box<Error> {
    Error::argument(
        operation,
        format!("axis {axis} is out of range for a tensor with {rank} dimensions"),
        if rank == 0 { "A scalar has no axes".into() } else { format!("Use an axis from -{rank} to {}", rank - 1) },
    )
}

/// Axes counted from the front, each named once.
fn distinct(operation: &'static str, axes: impl Iterator<Item = Result<usize>>) -> Result<Axes> {
    let mut distinct = Axes::new();
    for axis in axes {
        let axis = axis?;
        if distinct.contains(&axis) {
            return Err(Error::argument(operation, format!("axis {axis} is named twice"), "Name each axis once"));
        }
        distinct.push(axis);
    }
    Ok(distinct)
}

fn resolve_axes(operation: &'static str, axes: &[isize], rank: usize) -> Result<Axes> {
    distinct(operation, axes.iter().map(|&axis| resolve_axis(operation, axis, rank)))
}

impl IntoAxes for isize {
    fn into_axes(self, operation: &'static str, rank: usize) -> Result<Axes> {
        resolve_axes(operation, &[self], rank)
    }
}
impl<const N: usize> IntoAxes for [isize; N] {
    fn into_axes(self, operation: &'static str, rank: usize) -> Result<Axes> {
        resolve_axes(operation, &self, rank)
    }
}
impl IntoAxes for &[isize] {
    fn into_axes(self, operation: &'static str, rank: usize) -> Result<Axes> {
        resolve_axes(operation, self, rank)
    }
}
impl IntoAxes for &[usize] {
    fn into_axes(self, operation: &'static str, rank: usize) -> Result<Axes> {
        let inside = |&axis: &usize| if axis < rank { Ok(axis) } else { Err(no_such_axis(operation, axis, rank)) };
        distinct(operation, self.iter().map(inside))
    }
}
impl IntoAxes for &Axes {
    fn into_axes(self, operation: &'static str, rank: usize) -> Result<Axes> {
        self.as_slice().into_axes(operation, rank)
    }
}
impl IntoAxes for RangeFull {
    fn into_axes(self, _: &'static str, rank: usize) -> Result<Axes> {
        Ok((0..rank).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape<const N: usize>(dims: [usize; N]) -> Shape {
        Shape::new(&dims).unwrap()
    }

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(shape([3, 1]).broadcast(&shape([4])), Some(shape([3, 4])));
        assert_eq!(shape([0, 1]).broadcast(&shape([1, 5])), Some(shape([0, 5])));
        assert_eq!(shape([]).broadcast(&shape([2])), Some(shape([2])));
        assert_eq!(shape([2]).broadcast(&shape([3])), None);
        assert_eq!(shape([0]).broadcast(&shape([3])), None);
    }

    #[test]
    fn sizes_that_overflow_are_refused() {
        assert!(Shape::new(&[usize::MAX, 2]).is_err());
        assert!(Shape::new(&[1 << 62, 0, 1 << 62]).is_err());
        assert!(Shape::new(&[1; 9]).is_err());
        assert_eq!(Shape::new(&[0, 7]).unwrap().count(), 0);
    }

    #[test]
    fn reshape_fills_in_one_size() {
        let from = shape([2, 6]);
        assert_eq!([-1, 3].into_reshape(&from).unwrap(), shape([4, 3]));
        assert!([-1, -1].into_reshape(&from).is_err());
        assert!([-1, 5].into_reshape(&from).is_err());
        assert!([-2, 6].into_reshape(&from).is_err());
        assert!([-1, 0].into_reshape(&shape([0])).is_err());
    }

    #[test]
    fn negative_axes_count_from_the_back() {
        assert_eq!([0, -1].into_axes("sum", 3).unwrap().as_slice(), &[0, 2]);
        assert!([0, -3].into_axes("sum", 3).is_err());
        assert!((-4).into_axes("sum", 3).is_err());
        assert!(0.into_axes("sum", 0).is_err());
    }

    #[test]
    fn axes_out_of_range_are_refused_whatever_their_type() {
        for axis in [isize::MIN, isize::MIN + 1, -4, 3, isize::MAX] {
            assert!(axis.into_axes("sum", 3).is_err(), "{axis}");
        }
        // As `isize` these would be −1, −3 and the smallest of all.
        for axis in [usize::MAX, usize::MAX - 2, 1 << (usize::BITS - 1), 3] {
            let error = [axis].as_slice().into_axes("sum", 3).unwrap_err().to_string();
            assert!(error.contains(&format!("axis {axis} is out of range")), "{error}");
        }
        assert!([1usize, 1].as_slice().into_axes("sum", 3).is_err());
        assert!([1isize; 100_000].as_slice().into_axes("sum", 3).unwrap_err().to_string().len() < 200);
        assert!([2isize; 100_000].as_slice().into_reshape(&shape([2])).unwrap_err().to_string().len() < 200);
    }
}
