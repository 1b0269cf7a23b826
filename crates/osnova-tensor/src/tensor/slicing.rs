//! Ranges of axes. All of these are views.

use super::run;
use crate::host::{collected, room_for};
use crate::shape::resolve_axis;
use crate::{Error, IntoAxes, Op, Result, SliceRange, Tensor};
use smallvec::{SmallVec, smallvec};
use std::ops::{Bound, RangeBounds};

/// Bytes of a view's handle, roughly: its layout, and the backend's pointer to the elements.
const HANDLE: usize = 256;

impl Tensor {
    fn slice_with(&self, axis: usize, range: SliceRange) -> Result<Self> {
        let mut ranges: SmallVec<[SliceRange; 4]> =
            self.dims().iter().map(|&length| SliceRange { start: 0, length, step: 1 }).collect();
        ranges[axis] = range;
        run(&Op::Slice { ranges }, smallvec![self.clone()])
    }

    /// `length` elements of `axis` from `start` on. A view.
    ///
    /// # Errors
    /// A range outside the axis.
    pub fn narrow(&self, axis: isize, start: usize, length: usize) -> Result<Self> {
        let axis = resolve_axis("narrow", axis, self.rank())?;
        if start.checked_add(length).is_none_or(|end| end > self.shape()[axis]) {
            return Err(Error::shape(
                "narrow",
                [*self.shape()],
                format!("{length} elements from {start} on are not all on axis {axis}"),
                "Keep start + length within the axis",
            ));
        }
        self.slice_with(axis, SliceRange { start, length, step: 1 })
    }

    /// A range of `axis` with a step, as Python's `x[start:end:step]`: negative bounds count from the back, bounds outside are cut.
    /// A negative step walks backwards from `start` (default: the last element). A view.
    ///
    /// Rust has bounds that Python lacks: with `..=end` the element `end` is the last one to be met, in either direction, and with
    /// `Bound::Excluded(start)` the walk begins at the one that follows `start` in its direction.
    ///
    /// # Errors
    /// An axis out of range, a step of 0.
    pub fn slice(&self, axis: isize, range: impl RangeBounds<isize>, step: isize) -> Result<Self> {
        let axis = resolve_axis("slice", axis, self.rank())?;
        if step == 0 {
            return Err(Error::argument("slice", "a step of 0 never arrives", "Give a positive or negative step"));
        }
        self.slice_with(axis, steps(self.shape()[axis], &range, step))
    }

    /// One element of `axis` (negative: from the back), without the axis. A view.
    ///
    /// # Errors
    /// An index outside the axis.
    pub fn select(&self, axis: isize, index: isize) -> Result<Self> {
        let axis = resolve_axis("select", axis, self.rank())?;
        let size = self.shape()[axis];
        let place = if index < 0 { size.checked_sub(index.unsigned_abs()) } else { Some(index as usize) };
        let Some(start) = place.filter(|&place| place < size) else {
            return Err(Error::shape(
                "select",
                [*self.shape()],
                format!("index {index} is outside axis {axis}"),
                "Use an index the axis has",
            ));
        };
        let sliced = self.slice_with(axis, SliceRange { start, length: 1, step: 1 })?;
        sliced.reshape(self.shape().reduced(&[axis], false))
    }

    /// The elements in reverse order along `axes`. A view.
    ///
    /// # Errors
    /// An axis out of range.
    pub fn flip(&self, axes: impl IntoAxes) -> Result<Self> {
        let axes = axes.into_axes("flip", self.rank())?;
        let ranges = self.dims().iter().enumerate().map(|(axis, &length)| {
            if axes.contains(&axis) && length > 0 {
                SliceRange { start: length - 1, length, step: -1 }
            } else {
                SliceRange { start: 0, length, step: 1 }
            }
        });
        run(&Op::Slice { ranges: ranges.collect() }, smallvec![self.clone()])
    }

    /// Pieces of `size` elements along `axis`; the last may be shorter. Views.
    ///
    /// # Errors
    /// An axis out of range, a size of 0, more pieces than there is room for.
    pub fn split(&self, size: usize, axis: isize) -> Result<Vec<Self>> {
        if size == 0 {
            return Err(Error::argument(
                "split",
                "pieces of 0 elements never cover the axis",
                "Give a size of at least 1",
            ));
        }
        let number = resolve_axis("split", axis, self.rank())?;
        let total = self.shape()[number];
        // A handle without room ends the process: better asked for beforehand.
        room_for("split", total.div_ceil(size), HANDLE)?;
        let pieces = (0..total).step_by(size).map(|start| self.narrow(axis, start, size.min(total - start)));
        collected("split", pieces)?.into_iter().collect()
    }
}

/// The elements of an axis that a range with a step meets. `step` is not 0.
fn steps(size: usize, range: &impl RangeBounds<isize>, step: isize) -> SliceRange {
    // In a wider type: nothing overflows, whatever the bounds and the step are.
    let (size, step, forward) = (size as i128, step as i128, step > 0);
    let next = if forward { 1 } else { -1 };
    // A place from the front, still perhaps outside the axis: cut only once it is final.
    let place = |bound: isize| if bound < 0 { bound as i128 + size } else { bound as i128 };
    let start = match range.start_bound() {
        Bound::Included(&bound) => place(bound),
        Bound::Excluded(&bound) => place(bound) + next,
        Bound::Unbounded if forward => 0,
        Bound::Unbounded => size - 1,
    };
    // The first place that is not met any more.
    let end = match range.end_bound() {
        Bound::Excluded(&bound) => place(bound),
        Bound::Included(&bound) => place(bound) + next,
        Bound::Unbounded if forward => size,
        Bound::Unbounded => -1,
    };
    let (lowest, highest) = if forward { (0, size) } else { (-1, size - 1) };
    let (start, end) = (start.clamp(lowest, highest), end.clamp(lowest, highest));
    let span = (end - start) * next;
    if span <= 0 {
        return SliceRange { start: 0, length: 0, step: step as isize };
    }
    SliceRange { start: start as usize, length: ((span - 1) / step.abs() + 1) as usize, step: step as isize }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Bounds = (Bound<isize>, Bound<isize>);

    /// Python's rule, element by element: from the first place that the start allows, in steps, as long as the end allows.
    fn walked(size: usize, (start, end): Bounds, step: isize) -> Vec<usize> {
        let size = size as i128;
        let place = |bound: isize| if bound < 0 { bound as i128 + size } else { bound as i128 };
        // Mirrored for a walk backwards, so that both walks go up.
        let sign = if step > 0 { 1 } else { -1 };
        let begun = |at: i128| match start {
            Bound::Included(bound) => at * sign >= place(bound) * sign,
            Bound::Excluded(bound) => at * sign > place(bound) * sign,
            Bound::Unbounded => true,
        };
        let goes_on = |at: i128| match end {
            Bound::Included(bound) => at * sign <= place(bound) * sign,
            Bound::Excluded(bound) => at * sign < place(bound) * sign,
            Bound::Unbounded => true,
        };
        let mut order: Vec<i128> = (0..size).collect();
        if step < 0 {
            order.reverse();
        }
        let from_start = order.into_iter().skip_while(|&at| !begun(at));
        from_start.step_by(step.unsigned_abs()).take_while(|&at| goes_on(at)).map(|at| at as usize).collect()
    }

    fn met(range: SliceRange) -> Vec<usize> {
        (0..range.length as i128).map(|index| (range.start as i128 + index * range.step as i128) as usize).collect()
    }

    #[test]
    fn ranges_are_those_of_python() {
        let numbers = || (-8..=8).chain([isize::MIN, isize::MIN + 1, isize::MAX - 1, isize::MAX]);
        let bounds: Vec<Bound<isize>> =
            numbers().map(Bound::Included).chain(numbers().map(Bound::Excluded)).chain([Bound::Unbounded]).collect();
        for size in 0..=6 {
            for step in numbers().filter(|&step| step != 0) {
                for &start in &bounds {
                    for &end in &bounds {
                        let range = steps(size, &(start, end), step);
                        assert_eq!(met(range), walked(size, (start, end), step), "{size}: {start:?} {end:?} by {step}");
                        assert!(range.start < size.max(1));
                    }
                }
            }
        }
    }

    /// What Python 3.11 prints for `list(range(size))[start:end:step]`.
    #[test]
    fn ranges_are_those_that_python_printed() {
        let given = |start: Option<isize>, end: Option<isize>| {
            (start.map_or(Bound::Unbounded, Bound::Included), end.map_or(Bound::Unbounded, Bound::Excluded))
        };
        for (size, start, end, step, printed) in PRINTED {
            assert_eq!(met(steps(size, &given(start, end), step)), printed, "{size}: {start:?} {end:?} by {step}");
        }
    }

    /// Size, start, end, step, and what was printed.
    type Printed = (usize, Option<isize>, Option<isize>, isize, &'static [usize]);

    const PRINTED: [Printed; 13] = [
        (1, None, None, -4, &[0]),
        (5, Some(-1), Some(6), 4, &[4]),
        (5, Some(-1), Some(3), -1, &[4]),
        (6, Some(-1), Some(6), 1, &[5]),
        (1, Some(5), Some(-5), -2, &[0]),
        (4, Some(-1), Some(4), 3, &[3]),
        (1, Some(6), Some(-5), -2, &[0]),
        (3, Some(4), Some(-3), -2, &[2]),
        (5, Some(-1), None, -1, &[4, 3, 2, 1, 0]),
        (5, Some(3), Some(6), 1, &[3, 4]),
        (2, Some(-6), Some(0), -3, &[]),
        (4, Some(6), Some(7), 3, &[]),
        (2, Some(-5), Some(7), -4, &[]),
    ];
}
