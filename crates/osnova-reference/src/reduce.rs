//! Reductions along axes, and what else runs along an axis.

use crate::Number::{self, Float, Int};
use crate::array::{Array, from_lines};
use osnova_tensor::{ArgReduction, DType, Reduction};
use std::cmp::Ordering;

pub(crate) fn reduce(kind: Reduction, input: &Array, axes: &[usize], dtype: DType) -> Vec<Number> {
    let zero = if dtype.is_float() { Float(0.0) } else { Int(0) };
    let one = if dtype.is_float() { Float(1.0) } else { Int(1) };
    let reduce = |line: Vec<Number>| {
        let numbers = line.into_iter();
        match kind {
            Reduction::Sum => numbers.fold(zero, Number::plus),
            Reduction::Prod => numbers.fold(one, Number::times),
            Reduction::Max => numbers.fold(smallest(dtype), Number::maximum),
            Reduction::Min => numbers.fold(largest(dtype), Number::minimum),
        }
    };
    input.lines(axes).into_iter().map(reduce).collect()
}

/// The maximum of nothing.
fn smallest(dtype: DType) -> Number {
    match dtype {
        DType::I64 => Int(i64::MIN),
        DType::I32 => Int(i32::MIN as i64),
        DType::U32 | DType::U8 | DType::Bool => Int(0),
        _ => Float(f64::NEG_INFINITY),
    }
}

/// The minimum of nothing.
fn largest(dtype: DType) -> Number {
    match dtype {
        DType::I64 => Int(i64::MAX),
        DType::I32 => Int(i32::MAX as i64),
        DType::U32 => Int(u32::MAX as i64),
        DType::U8 => Int(u8::MAX as i64),
        DType::Bool => Int(1),
        _ => Float(f64::INFINITY),
    }
}

/// Where the extreme of each line along `axis` is: the first of equals; NaN is more extreme than anything.
pub(crate) fn position(kind: ArgReduction, input: &Array, axis: usize) -> Vec<Number> {
    let beats = |challenger: Number, champion: Number| {
        let order = challenger.compare(champion);
        let further = match kind {
            ArgReduction::Max => order == Some(Ordering::Greater),
            ArgReduction::Min => order == Some(Ordering::Less),
        };
        !champion.is_nan() && (challenger.is_nan() || further)
    };
    let find = |line: Vec<Number>| {
        let best = (1..line.len()).fold(0, |best, at| if beats(line[at], line[best]) { at } else { best });
        Int(best as i64)
    };
    input.lines(&[axis]).into_iter().map(find).collect()
}

pub(crate) fn running_sum(input: &Array, axis: usize, reverse: bool) -> Vec<Number> {
    let mut lines = input.lines(&[axis]);
    for line in &mut lines {
        if reverse {
            line.reverse();
        }
        for at in 1..line.len() {
            line[at] = line[at - 1].plus(line[at]);
        }
        if reverse {
            line.reverse();
        }
    }
    from_lines(input.shape(), axis, &lines)
}

/// The values in order, and where they were. Stable in both directions; NaN is the largest.
pub(crate) fn sort(input: &Array, axis: usize, descending: bool) -> Vec<Vec<Number>> {
    let (mut sorted, mut positions) = (Vec::new(), Vec::new());
    for line in input.lines(&[axis]) {
        let mut order: Vec<usize> = (0..line.len()).collect();
        order.sort_by(
            |&left, &right| {
                if descending { line[right].order(line[left]) } else { line[left].order(line[right]) }
            },
        );
        sorted.push(order.iter().map(|&at| line[at]).collect());
        positions.push(order.iter().map(|&at| Int(at as i64)).collect());
    }
    vec![from_lines(input.shape(), axis, &sorted), from_lines(input.shape(), axis, &positions)]
}
