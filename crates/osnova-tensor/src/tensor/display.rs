//! Tensors as text, laid out like NumPy's.

use crate::{DType, Tensor};
use std::fmt;

/// Tensors with more elements show only the ends of each axis.
const THRESHOLD: usize = 1000;
/// How many elements each end then shows.
const EDGE: usize = 3;
/// Digits after the point at most.
const PRECISION: usize = 8;

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({}, {}, {})", self.shape(), self.dtype(), self.device())
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = match self.detach().to_host() {
            Ok(values) => values,
            Err(error) => return write!(f, "{self:?}: {error}"),
        };
        let values = values.to_f64();
        let indices = Shown::of(self.dims());
        let shown: Vec<f64> = indices.flat(self.dims()).map(|index| values[index]).collect();
        let words = words(self.dtype(), &shown);
        write_axis(f, &indices.0, 0, &mut words.iter())
    }
}

/// The indices shown along each axis; `None` stands for the dots.
struct Shown(Vec<Vec<Option<usize>>>);

impl Shown {
    fn of(dims: &[usize]) -> Self {
        let cut = dims.iter().product::<usize>() > THRESHOLD;
        let axis = |&size: &usize| {
            if cut && size > 2 * EDGE {
                let ends = (0..EDGE).map(Some).chain([None]).chain((size - EDGE..size).map(Some));
                ends.collect()
            } else {
                (0..size).map(Some).collect()
            }
        };
        Self(dims.iter().map(axis).collect())
    }

    /// The row-major positions of the shown elements.
    fn flat(&self, dims: &[usize]) -> impl Iterator<Item = usize> {
        let mut positions = vec![0];
        for (axis, &size) in self.0.iter().zip(dims) {
            positions = positions
                .iter()
                .flat_map(|&position| axis.iter().flatten().map(move |&index| position * size + index))
                .collect();
        }
        positions.into_iter()
    }
}

fn write_axis<'a>(
    f: &mut fmt::Formatter<'_>,
    axes: &[Vec<Option<usize>>],
    depth: usize,
    words: &mut impl Iterator<Item = &'a String>,
) -> fmt::Result {
    let Some((axis, inner)) = axes.split_first() else {
        return f.write_str(words.next().map_or("", String::as_str));
    };
    f.write_str("[")?;
    for (place, index) in axis.iter().enumerate() {
        if place > 0 {
            if inner.is_empty() {
                f.write_str(" ")?;
            } else {
                // Blocks of higher rank stand apart by empty lines, as NumPy has it.
                write!(f, "{}{:indent$}", "\n".repeat(inner.len()), "", indent = depth + 1)?;
            }
        }
        match index {
            Some(_) => write_axis(f, inner, depth + 1, words)?,
            None => f.write_str("...")?,
        }
    }
    f.write_str("]")
}

/// The shown elements, padded to one width.
fn words(dtype: DType, values: &[f64]) -> Vec<String> {
    let words: Vec<String> = match dtype {
        DType::Bool => values.iter().map(|&value| if value != 0.0 { "True" } else { "False" }.to_owned()).collect(),
        dtype if dtype.is_integer() => values.iter().map(|value| format!("{value:.0}")).collect(),
        dtype => float_words(dtype, values),
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
