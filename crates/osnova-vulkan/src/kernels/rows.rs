//! Operations whose rows a team of threads works on: how large the teams are, and where the rows lie.

use crate::engine::{Dispatch, Engine, THREADS};
use crate::walk::Walk;
use osnova_tensor::{Layout, Result, Shape, SliceRange};
use std::ops::Range;

/// Elements that a thread keeps in registers at most, as in `shaders/include/rows.glsl`: with what else it needs about 64 registers of
/// f32, of which a large GPU holds four workgroups a processor.
const MOST_KEPT: usize = 32;
/// Elements a thread should have: 16 bytes and more under way at a time, and rows of up to 256 within a subgroup of 32, where no barrier
/// is met.
const FEW: usize = 8;
/// The same where rows lie side by side: there a team of one thread meets no barrier.
const FEW_IN_COLUMNS: usize = 16;
/// Neighbouring rows whose elements are read together where rows lie side by side: a warp, and 64 bytes of a half type.
const SIDE_BY_SIDE: usize = 32;

/// How the threads of a workgroup are shared among rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Teams {
    /// Threads for a row, a power of two.
    team: u32,
    /// Elements each of them keeps; 0 if rows are too long.
    kept: u32,
    /// Whether neighbouring threads work on neighbouring rows.
    columns: bool,
}

impl Teams {
    /// For rows of `size` elements, which lie one after another if `inner` is 1, else `inner` of them side by side.
    pub(crate) fn new(size: usize, inner: usize) -> Self {
        let threads = THREADS as usize;
        // Where rows lie side by side, first the neighbours are read together.
        let most = if inner == 1 { threads } else { threads / inner.next_power_of_two().min(SIDE_BY_SIDE) };
        let few = if inner == 1 { FEW } else { FEW_IN_COLUMNS };
        let team = size.div_ceil(few).next_power_of_two().min(most);
        let each = size.div_ceil(team);
        // Powers of two, so that not every size makes a pipeline of its own.
        let kept = if each <= MOST_KEPT { each.next_power_of_two() } else { 0 };
        Self { team: team as u32, kept: kept as u32, columns: inner > 1 }
    }

    /// The first constants after the walk's, for `shaders/include/rows.glsl`.
    pub(crate) fn constants<'e>(&self, dispatch: Dispatch<'e>) -> Dispatch<'e> {
        dispatch.constant(self.team).constant(self.kept).constant(self.columns)
    }

    /// The workgroups for a number of rows.
    pub(crate) fn groups(&self, rows: u32) -> u32 {
        rows.div_ceil(THREADS / self.team)
    }
}

/// Where the rows of a tensor lie that go along neighbouring axes.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) count: u32,
    pub(crate) size: usize,
    /// From an element of a row to the next.
    pub(crate) stride: u32,
    /// Through the first elements.
    pub(crate) walk: Walk<1>,
}

impl Rows {
    /// `None` if the elements of a row do not lie evenly. There is at least one row and one element in it.
    pub(crate) fn new(engine: &Engine, layout: &Layout, axes: Range<usize>) -> Result<Option<Self>> {
        let only = |along: bool| {
            let length = |axis: usize| if axes.contains(&axis) == along { layout.shape()[axis] } else { 1 };
            let ranges = (0..layout.shape().rank()).map(|axis| SliceRange { start: 0, length: length(axis), step: 1 });
            layout.slice(&ranges.collect::<Vec<_>>())
        };
        let (first, along) = (only(false), only(true));
        let size = along.shape().count();
        let Some(row) = along.reshape(&Shape::new(&[size])?) else { return Ok(None) };
        Ok(Some(Self {
            count: engine.count(first.shape().count())?,
            size,
            stride: row.strides()[0] as i32 as u32,
            walk: Walk::new(first.shape(), [&first]),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_has_its_place() {
        for inner in [1, 2, 3, 32, 1000] {
            for size in (1..600).chain([1000, 8192, 8193, 40_000, 1 << 20]) {
                let Teams { team, kept, columns } = Teams::new(size, inner);
                assert!(team.is_power_of_two() && team <= THREADS, "{size} {inner}");
                assert!(kept == 0 || (kept * team) as usize >= size && kept as usize <= MOST_KEPT, "{size} {inner}");
                assert!(kept > 0 || size > MOST_KEPT * team as usize, "{size} {inner}");
                assert_eq!(columns, inner > 1);
                // Side by side, a subgroup reads neighbours.
                assert!(!columns || (THREADS / team) as usize >= inner.min(SIDE_BY_SIDE), "{size} {inner}");
            }
        }
    }

    #[test]
    fn rows_take_few_pipelines() {
        let mut all: Vec<Teams> = (1..10_000).map(|size| Teams::new(size, 1)).collect();
        all.dedup();
        assert!(all.len() <= 20, "{}", all.len());
    }
}
