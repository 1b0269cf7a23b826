//! Tensors as text, laid out like NumPy's.

use super::unwrap_down;
use crate::{DType, HostData, Result, Tensor};
use std::fmt;

/// Tensors with more elements show only the ends of each axis.
const THRESHOLD: usize = 1000;
/// How many elements each end then shows.
const EDGE: usize = 3;
/// How many elements are shown at most, but for tensors that show two of each axis.
const LIMIT: usize = 10_000;
/// Digits after the point at most.
const PRECISION: usize = 8;

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({}, {}, {})", self.shape(), self.dtype(), self.device())
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count() == 0 {
            return f.write_str("[]");
        }
        let shown = Shown::of(self.dims());
        // The concrete device's own tensor: what wraps it has no business with what is only looked at.
        let plain = unwrap_down(self.clone(), self.device().innermost());
        match shown.fetch(&plain).and_then(|tensor| tensor.to_host()) {
            Ok(values) => write_axis(f, &shown.0, 0, &mut words(&values).iter()),
            Err(error) => write!(f, "{self:?}: {error}"),
        }
    }
}

/// How many elements each end of each axis shows; `None` for an axis that is shown whole.
struct Shown(Vec<Axis>);

/// What is shown of an axis.
struct Axis {
    size: usize,
    edge: Option<usize>,
}

impl Shown {
    /// Of a tensor with elements.
    fn of(dims: &[usize]) -> Self {
        if dims.iter().product::<usize>() <= THRESHOLD {
            return Self(dims.iter().map(|&size| Axis { size, edge: None }).collect());
        }
        let cut = |edge| {
            let axis = |&size: &usize| Axis { size, edge: (size > 2 * edge).then_some(edge) };
            Self(dims.iter().map(axis).collect())
        };
        // Of many axes less, so that the text stays within some pages.
        (2..=EDGE).rev().map(cut).find(|shown| shown.count() <= LIMIT).unwrap_or_else(|| cut(1))
    }

    fn count(&self) -> usize {
        self.0.iter().map(|axis| axis.edge.map_or(axis.size, |edge| 2 * edge)).product()
    }

    /// The shown elements as one small tensor: the others are neither read nor copied.
    fn fetch(&self, tensor: &Tensor) -> Result<Tensor> {
        fn corners(axes: &[Axis], at: usize, view: Tensor) -> Result<Tensor> {
            let Some(axis) = axes.get(at) else { return Ok(view) };
            let Some(edge) = axis.edge else { return corners(axes, at + 1, view) };
            let number = at as isize;
            let ends = [view.narrow(number, 0, edge)?, view.narrow(number, axis.size - edge, edge)?];
            let [first, last] = ends.map(|end| corners(axes, at + 1, end));
            Tensor::concat(&[first?, last?], number)
        }
        corners(&self.0, 0, tensor.clone())
    }
}

fn write_axis<'a>(
    f: &mut fmt::Formatter<'_>,
    axes: &[Axis],
    depth: usize,
    words: &mut impl Iterator<Item = &'a String>,
) -> fmt::Result {
    let Some((axis, inner)) = axes.split_first() else {
        return f.write_str(words.next().map_or("", String::as_str));
    };
    f.write_str("[")?;
    let gap = |f: &mut fmt::Formatter<'_>| {
        if inner.is_empty() {
            return f.write_str(" ");
        }
        // Blocks of higher rank stand apart by empty lines, as NumPy has it.
        write!(f, "{}{:indent$}", "\n".repeat(inner.len()), "", indent = depth + 1)
    };
    for place in 0..axis.edge.map_or(axis.size, |edge| 2 * edge) {
        if place > 0 {
            gap(f)?;
        }
        if axis.edge == Some(place) {
            f.write_str("...")?;
            gap(f)?;
        }
        write_axis(f, inner, depth + 1, words)?;
    }
    f.write_str("]")
}

/// The shown elements, padded to one width.
fn words(values: &HostData) -> Vec<String> {
    fn integers<T: fmt::Display>(values: &[T]) -> Vec<String> {
        values.iter().map(T::to_string).collect()
    }
    let words: Vec<String> = match values {
        HostData::Bool(values) => values.iter().map(|&value| if value { "True" } else { "False" }.to_owned()).collect(),
        HostData::I64(values) => integers(values),
        HostData::I32(values) => integers(values),
        HostData::U32(values) => integers(values),
        HostData::U8(values) => integers(values),
        floats => float_words(floats.dtype(), &floats.to_f64()),
    };
    let width = words.iter().map(|word| word.len()).max().unwrap_or(0);
    words.into_iter().map(|word| format!("{word:>width$}")).collect()
}

fn float_words(dtype: DType, values: &[f64]) -> Vec<String> {
    let magnitudes = || values.iter().map(|value| value.abs()).filter(|value| value.is_finite() && *value != 0.0);
    let largest = magnitudes().fold(0.0, f64::max);
    let smallest = magnitudes().fold(f64::INFINITY, f64::min);
    let scientific = largest >= 1e8 || smallest < 1e-4 || largest / smallest > 1e3 && smallest.is_finite();
    // Digits that tell the number from its neighbours, as far as its dtype does.
    let shortest = |value: f64| match dtype {
        DType::F64 => format!("{value:?}"),
        _ => format!("{:?}", value as f32),
    };
    let needed = |value: f64| {
        let text = if scientific { shortest_exponent(dtype, value) } else { shortest(value) };
        let mantissa = text.split('e').next().unwrap_or("");
        mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len()).min(PRECISION)
    };
    let digits = values.iter().filter(|value| value.is_finite()).map(|&value| needed(value)).max().unwrap_or(0);
    let word = |&value: &f64| {
        if value.is_nan() {
            return "nan".into();
        }
        if value.is_infinite() {
            return if value > 0.0 { "inf" } else { "-inf" }.into();
        }
        if scientific {
            let text = format!("{value:.digits$e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
            let point = if mantissa.contains('.') { "" } else { "." };
            return format!("{mantissa}{point}e{sign}{exponent:0>2}");
        }
        // Each number has only the digits that tell it from its neighbours.
        let own = needed(value).min(digits);
        let trimmed = if own == 0 { format!("{value:.0}.") } else { format!("{value:.own$}") };
        let missing = (digits + 1).saturating_sub(trimmed.len() - trimmed.find('.').unwrap_or(trimmed.len()));
        trimmed + &" ".repeat(missing)
    };
    values.iter().map(word).collect()
}

fn shortest_exponent(dtype: DType, value: f64) -> String {
    match dtype {
        DType::F64 => format!("{value:e}"),
        _ => format!("{:e}", value as f32),
    }
}
