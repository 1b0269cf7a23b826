//! Many elements to one: sums, products, extremes; means, variances and logarithms of summed exponentials.
//!
//! Elements lie along rows (neighbours belong to one output) or down columns (neighbours belong to different outputs). Some threads
//! share an output, and where outputs are few, workgroups do too: each reduces a part, and a second dispatch the partial results.
//! How many is set by the shape and the subgroup size alone, so that a device gives the same bits in every run.

use super::{bits, create, scalar_words, shader};
use crate::engine::{Engine, THREADS, Words};
use crate::storage::view;
use crate::walk::Walk;
use osnova_tensor::{DType, Device, Layout, Meta, Reduction, Result, Scalar, Shape, SliceRange, Tensor};

/// The words of `reduce.comp` before its walks.
const FIRST_WALK: u32 = 10;
/// Elements that a thread takes for itself before others help: as many loads as `reduce.comp` has under way.
pub(super) const ELEMENTS: u32 = 4;
/// Rows up to this length are left to one thread each: they share the lines of the cache with their neighbours.
pub(super) const SHORT: u32 = 8;
/// Threads that keep a large device busy: 128 multiprocessors of 1024.
const BUSY_THREADS: u32 = 1 << 17;
/// Workgroups of [`THREADS`] that do.
pub(super) const BUSY_GROUPS: u32 = BUSY_THREADS / THREADS;
/// Elements of a row for each thread of a subgroup up to which the subgroup does without help, if rows are many.
const SUBGROUP_ELEMENTS: u32 = 64;
/// Outputs side by side in a workgroup that goes down columns: 128 bytes of `f32`, a line of the cache.
pub(super) const COLUMNS: u32 = 32;
/// Elements for each thread below which a part is too small: the second dispatch would cost more than the first gains.
pub(super) const PART_ELEMENTS: u32 = 32;

/// What a reduction computes, numbered as in `reduce.comp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Plain(Reduction),
    Mean,
    /// With the correction.
    Variance(usize),
    LogSumExp,
}

impl Method {
    fn number(self) -> u32 {
        match self {
            Self::Plain(Reduction::Sum) => 0,
            Self::Plain(Reduction::Prod) => 1,
            Self::Plain(Reduction::Max) => 2,
            Self::Plain(Reduction::Min) => 3,
            Self::Mean => 4,
            Self::Variance(_) => 5,
            Self::LogSumExp => 6,
        }
    }

    /// Whether elements are shifted, by a first reduction, before they are reduced.
    fn shifts(self) -> Option<Self> {
        match self {
            Self::Variance(_) => Some(Self::Mean),
            Self::LogSumExp => Some(Self::Plain(Reduction::Max)),
            _ => None,
        }
    }

    /// What the sum is divided by.
    fn divisor(self, length: usize) -> f64 {
        match self {
            Self::Variance(correction) => (length as f64 - correction as f64).max(0.0),
            _ => length as f64,
        }
    }

    /// The result of no elements.
    fn of_nothing(self, dtype: DType) -> Scalar {
        match self {
            Self::Plain(Reduction::Sum) => 0i64.into(),
            Self::Plain(Reduction::Prod) => 1i64.into(),
            Self::Plain(Reduction::Max) | Self::LogSumExp => lowest(dtype),
            Self::Plain(Reduction::Min) => highest(dtype),
            Self::Mean | Self::Variance(_) => f64::NAN.into(),
        }
    }
}

fn lowest(dtype: DType) -> Scalar {
    match dtype {
        DType::I64 => i64::MIN.into(),
        DType::I32 => i64::from(i32::MIN).into(),
        DType::U32 | DType::U8 | DType::Bool => 0i64.into(),
        _ => f64::NEG_INFINITY.into(),
    }
}

fn highest(dtype: DType) -> Scalar {
    match dtype {
        DType::I64 => i64::MAX.into(),
        DType::I32 => i64::from(i32::MAX).into(),
        DType::U32 => i64::from(u32::MAX).into(),
        DType::U8 => i64::from(u8::MAX).into(),
        DType::Bool => 1i64.into(),
        _ => f64::INFINITY.into(),
    }
}

/// The dtype that holds what a kernel computes with.
pub(super) fn computed(dtype: DType) -> DType {
    match dtype {
        DType::U8 | DType::Bool => DType::U32,
        other => other.accumulator(),
    }
}

/// A layout split in two: one over the axes that stay, one over those that go.
pub(super) fn apart(layout: &Layout, axes: &[usize]) -> (Layout, Layout) {
    let part = |goes: bool| {
        let length = |axis: usize| if axes.contains(&axis) == goes { layout.shape()[axis] } else { 1 };
        let ranges = (0..layout.shape().rank()).map(|axis| SliceRange { start: 0, length: length(axis), step: 1 });
        layout.slice(&ranges.collect::<Vec<_>>())
    };
    (part(false), part(true))
}

/// The layout with axes turned to run forwards and sorted so that the innermost has the smallest stride: a transposed tensor is then
/// reduced like a row-major one. For axes that go, whose order is free.
fn sorted(layout: &Layout) -> Layout {
    let strides = layout.strides();
    let ranges = layout.shape().iter().zip(strides.iter()).map(|(&length, &stride)| match stride < 0 {
        true => SliceRange { start: length - 1, length, step: -1 },
        false => SliceRange { start: 0, length, step: 1 },
    });
    let mut order: Vec<usize> = (0..layout.shape().rank()).collect();
    order.sort_by_key(|&axis| std::cmp::Reverse(strides[axis].unsigned_abs()));
    layout.slice(&ranges.collect::<Vec<_>>()).permute(&order)
}

/// How a reduction is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Neighbouring threads work on neighbouring outputs, else on neighbouring elements.
    pub(super) columns: bool,
    /// Threads for each output: a power of two up to [`THREADS`].
    pub(super) lanes: u32,
    /// Parts of each output's elements, for different workgroups.
    pub(super) parts: u32,
    /// Elements of a part.
    pub(super) part: u32,
}

impl Plan {
    /// For `outputs` reductions of `length` elements each, both at least 1.
    pub(super) fn new(stays: &Walk<1>, goes: &Walk<1>, outputs: u32, length: u32, subgroup: Option<u32>) -> Self {
        let subgroup = subgroup.unwrap_or(1);
        let (side, [across]) = stays.innermost();
        let (_, [along]) = goes.innermost();
        let columns = outputs > 1 && across.unsigned_abs() < along.unsigned_abs();
        let wanted = length.div_ceil(ELEMENTS).min(THREADS).next_power_of_two();
        let lanes = if columns {
            // A full line of columns, or as many as there are; more where no more threads are needed.
            let most = THREADS / side.clamp(1, COLUMNS).next_power_of_two();
            let busy = BUSY_THREADS.div_ceil(outputs).min(THREADS).next_power_of_two();
            wanted.min(most).min(busy)
        } else if length <= SHORT {
            1
        } else if wanted > subgroup
            && length <= subgroup * SUBGROUP_ELEMENTS
            && outputs.saturating_mul(subgroup) >= BUSY_THREADS
        {
            subgroup
        } else {
            wanted
        };
        let groups = outputs.div_ceil(THREADS / lanes);
        let parts = BUSY_GROUPS.div_ceil(groups).min(length / (lanes * PART_ELEMENTS)).max(1);
        // Whole rounds of the threads.
        let part = length.div_ceil(parts).next_multiple_of(lanes * ELEMENTS).min(length);
        Self { columns, lanes, parts: length.div_ceil(part), part }
    }

    /// The first words of the kernels that go by a plan.
    pub(super) fn words(&self, outputs: u32, length: u32) -> Words {
        Words::from_slice(&[outputs, length, self.parts, self.part])
    }

    /// The shape of the results of all parts, and the axis along which they are reduced to `outputs`.
    pub(super) fn partial(&self, outputs: usize) -> ([usize; 2], usize) {
        let parts = self.parts as usize;
        if self.columns { ([parts, outputs], 0) } else { ([outputs, parts], 1) }
    }

    /// Workgroups that have something to do.
    pub(super) fn groups(&self, outputs: u32) -> u32 {
        outputs.div_ceil(THREADS / self.lanes).saturating_mul(self.parts)
    }
}

/// What is reduced, and where to.
struct Job<'t> {
    method: Method,
    /// The dtype of the elements and results; partial results are of its [`computed`] dtype.
    dtype: DType,
    input: &'t Tensor,
    axes: &'t [usize],
    /// Elements for each result, all in all.
    length: usize,
    /// The input holds partial results.
    second: bool,
    /// The mean or maximum of each output's elements, of the computed dtype.
    shift: Option<Tensor>,
}

pub(crate) fn reduce(
    engine: &Engine,
    device: Device,
    method: Method,
    input: &Tensor,
    axes: &[usize],
    meta: &Meta,
) -> Result<Tensor> {
    let length: usize = axes.iter().map(|&axis| input.shape()[axis]).product();
    if length == 0 {
        return create::full(engine, device, method.of_nothing(meta.dtype), meta);
    }
    if let (1, Method::Plain(_), Some(same)) = (length, method, input.layout().reshape(&meta.shape)) {
        return Ok(view(input, same));
    }
    let output = engine.create(device, meta)?;
    let job = Job { method, dtype: meta.dtype, input, axes, length, second: false, shift: None };
    run(engine, device, job, &output)?;
    Ok(output)
}

/// The sums along an axis, of the computed dtype.
pub(super) fn wide_sums(engine: &Engine, device: Device, input: &Tensor, axis: usize) -> Result<Tensor> {
    let meta = Meta::new(input.shape().reduced(&[axis], false), computed(input.dtype()));
    let output = engine.create(device, &meta)?;
    let job = Job {
        method: Method::Plain(Reduction::Sum),
        dtype: input.dtype(),
        input,
        axes: &[axis],
        length: input.shape()[axis],
        second: false,
        shift: None,
    };
    run(engine, device, job, &output)?;
    Ok(output)
}

/// Reduces into a row-major output of the job's dtype, or of the computed one.
fn run(engine: &Engine, device: Device, mut job: Job<'_>, output: &Tensor) -> Result<()> {
    let outputs = engine.count(output.count())?;
    if outputs == 0 {
        return Ok(());
    }
    let (stays, goes) = apart(job.input.layout(), job.axes);
    let goes = sorted(&goes);
    let length = engine.count(goes.shape().count())?;
    let (outer, inner) = (Walk::new(stays.shape(), [&stays]), Walk::new(goes.shape(), [&goes]));
    let plan = Plan::new(&outer, &inner, outputs, length, engine.gpu.shuffles);
    let wide = computed(job.dtype);
    let turned = goes.offset() as i64 - stays.offset() as i64;
    if plan.parts == 1 {
        return dispatch(engine, &job, &plan, [outputs, length], turned, [&outer, &inner], output);
    }
    // The parts of an output share its shift, so it is found first.
    if let (Some(first), None) = (job.method.shifts(), &job.shift) {
        let shift = engine.create(device, &Meta::new(*output.shape(), wide))?;
        run(engine, device, Job { method: first, shift: None, ..job }, &shift)?;
        job.shift = Some(shift);
    }
    let (dims, axis) = plan.partial(output.count());
    let partial = engine.create(device, &Meta::new(Shape::new(&dims)?, wide))?;
    dispatch(engine, &job, &plan, [outputs, length], turned, [&outer, &inner], &partial)?;
    run(engine, device, Job { input: &partial, axes: &[axis], second: true, ..job }, output)
}

fn dispatch(
    engine: &Engine,
    job: &Job<'_>,
    plan: &Plan,
    [outputs, length]: [u32; 2],
    turned: i64,
    [outer, inner]: [&Walk<1>; 2],
    output: &Tensor,
) -> Result<()> {
    let partial = plan.parts > 1;
    let wide = computed(job.dtype);
    let flags = [
        inner.is_linear(),
        plan.columns,
        // Where the dtype is the computed one, both ways are the same.
        job.second && job.dtype != wide,
        partial || output.dtype() != job.dtype,
        job.shift.is_some(),
        job.method.shifts().is_some() && !job.second,
        !partial,
    ];
    let (target, source) = (engine.output(output)?, engine.input(job.input)?);
    let shift = job.shift.as_ref().map_or(Ok(source), |shift| engine.input(shift))?;
    let first = outer.long_words([&source]);
    let mut words = plan.words(outputs, length);
    words.push(target.start);
    words.push(FIRST_WALK + first.len() as u32);
    words.extend(scalar_words(job.method.divisor(job.length).into(), wide));
    words.extend(scalar_words(job.method.of_nothing(job.dtype), wide));
    words.extend(first);
    let mut elements = source;
    elements.start = turned as u32;
    words.extend(inner.words([&elements]));
    engine
        .shader(shader!("reduce", job.dtype))
        .whole_subgroups()
        .constant(bits(&flags))
        .constant(job.method.number())
        .constant(plan.lanes)
        .bind(&target)
        .bind(&source)
        .bind(&target)
        .bind(&source)
        .bind(&shift)
        .words(&words)
        .groups(plan.groups(outputs))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plan for a row-major tensor on a device with subgroups of 32.
    fn plan(dims: &[usize], axes: &[usize]) -> Plan {
        let layout = Layout::contiguous(Shape::new(dims).unwrap());
        let (stays, goes) = apart(&layout, axes);
        let goes = sorted(&goes);
        let (outputs, length) = (stays.shape().count() as u32, goes.shape().count() as u32);
        let plan = Plan::new(
            &Walk::new(stays.shape(), [&stays]),
            &Walk::new(goes.shape(), [&goes]),
            outputs,
            length,
            Some(32),
        );
        assert!(plan.lanes.is_power_of_two() && plan.lanes <= THREADS);
        assert!(plan.part * (plan.parts - 1) < length && plan.part as u64 * plan.parts as u64 >= length.into());
        plan
    }

    fn shares(plan: &Plan) -> (bool, u32, u32) {
        (plan.columns, plan.lanes, plan.parts)
    }

    #[test]
    fn rows_take_threads_by_their_length() {
        assert_eq!(shares(&plan(&[100_000, 8], &[1])), (false, 1, 1));
        assert_eq!(shares(&plan(&[100_000, 60], &[1])), (false, 16, 1));
        // Many rows: a subgroup each, without barriers; few: a workgroup.
        assert_eq!(shares(&plan(&[8192, 1000], &[1])), (false, 32, 1));
        assert_eq!(shares(&plan(&[64, 1000], &[1])), (false, 256, 1));
    }

    #[test]
    fn columns_lie_side_by_side() {
        assert_eq!(shares(&plan(&[7, 1000], &[0])), (true, 2, 1));
        assert_eq!(shares(&plan(&[1000, 1_000_000], &[0])), (true, 1, 1));
        // A bias: few columns, so their rows are cut into parts.
        assert_eq!(shares(&plan(&[4096, 1024], &[0])), (true, 8, 16));
        assert_eq!(shares(&plan(&[100_000, 3], &[0])), (true, 64, 44));
    }

    #[test]
    fn one_output_is_cut_into_parts() {
        let plan = plan(&[1000, 1000], &[0, 1]);
        assert_eq!(shares(&plan), (false, 256, 109));
        // Whole rounds of a workgroup's threads.
        assert_eq!(plan.part % (THREADS * ELEMENTS), 0);
    }

    #[test]
    fn what_goes_is_walked_as_it_lies() {
        let turned = Layout::contiguous(Shape::new(&[4, 5, 6]).unwrap()).permute(&[2, 0, 1]);
        let back = turned.slice(&[0, 1, 2].map(|axis| SliceRange {
            start: turned.shape()[axis] - 1,
            length: turned.shape()[axis],
            step: -1,
        }));
        let goes = sorted(&back);
        assert_eq!((goes.offset(), Walk::new(goes.shape(), [&goes]).innermost()), (0, (120, [1])));
    }
}
