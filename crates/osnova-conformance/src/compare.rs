//! When a result counts as right.

use crate::values::pick;
use osnova_tensor::{DType, HostData};

/// The distance from `value` to the next larger float of `dtype`.
pub(crate) fn ulp(value: f64, dtype: DType) -> f64 {
    let smallest = match dtype {
        DType::F64 => f64::MIN_POSITIVE,
        DType::F16 => f64::from(osnova_tensor::f16::MIN_POSITIVE),
        // bf16 has the exponents of f32.
        _ => f64::from(f32::MIN_POSITIVE),
    };
    let magnitude = value.abs().max(smallest);
    if !magnitude.is_finite() {
        return 0.0;
    }
    // The power of two at or below the magnitude: its bits without the mantissa.
    let power = f64::from_bits(magnitude.to_bits() & 0x7ff0_0000_0000_0000);
    power * dtype.epsilon()
}

fn round(value: f64, dtype: DType) -> f64 {
    HostData::from_f64(dtype, &[value]).to_f64()[0]
}

/// Whether `actual`, an element of the float `dtype`, lies between the roundings of `expected − bound` and `expected + bound`.
///
/// A bound of 0 asks for the correctly rounded result. NaN matches NaN, −0 matches 0; overflow follows from the rounding.
pub(crate) fn accepts(actual: f64, expected: f64, bound: f64, dtype: DType) -> bool {
    if expected.is_nan() {
        return actual.is_nan();
    }
    // A formula that gives no finite bound (0/0 at a singular place) asks for the exact result.
    let bound = if bound.is_finite() { bound } else { 0.0 };
    (round(expected - bound, dtype)..=round(expected + bound, dtype)).contains(&actual)
}

/// The first element in which two lists of values differ in any bit; NaN equals NaN whatever its bits.
pub(crate) fn first_difference(actual: &HostData, expected: &HostData) -> Option<String> {
    if actual.dtype() != expected.dtype() || actual.len() != expected.len() {
        return Some(format!(
            "{} values of {} instead of {} of {}",
            actual.len(),
            actual.dtype(),
            expected.len(),
            expected.dtype()
        ));
    }
    let size = actual.dtype().size();
    let (left, right) = (actual.as_bytes(), expected.as_bytes());
    if left == right {
        return None;
    }
    (0..actual.len()).find_map(|index| {
        let range = index * size..(index + 1) * size;
        if left[range.clone()] == right[range] {
            return None;
        }
        let (actual, expected) = (one(actual, index), one(expected, index));
        let nan = |data: &HostData| data.to_f64()[0].is_nan();
        (!(nan(&actual) && nan(&expected))).then(|| format!("element {index} is {actual:?} instead of {expected:?}"))
    })
}

fn one(data: &HostData, index: usize) -> HostData {
    pick(data, std::iter::once(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unit_in_the_last_place() {
        assert_eq!(ulp(1.0, DType::F32), f64::from(f32::EPSILON));
        assert_eq!(ulp(-1.99, DType::F32), f64::from(f32::EPSILON));
        assert_eq!(ulp(2.0, DType::F64), 2.0 * f64::EPSILON);
        assert_eq!(ulp(0.0, DType::F32), f64::from(f32::from_bits(1)));
    }

    #[test]
    fn a_bound_of_zero_asks_for_the_nearest_value() {
        let third = 1.0 / 3.0;
        let next = f32::from_bits((third as f32).to_bits() + 1);
        assert!(accepts((third as f32).into(), third, 0.0, DType::F32));
        assert!(!accepts(next.into(), third, 0.0, DType::F32));
        assert!(accepts(next.into(), third, ulp(third, DType::F32), DType::F32));
    }

    #[test]
    fn special_values_match_themselves_alone() {
        let (nan, infinity) = (f64::NAN, f64::INFINITY);
        assert!(accepts(nan, nan, 0.0, DType::F32) && !accepts(1.0, nan, 1.0, DType::F32));
        assert!(!accepts(nan, 1.0, infinity, DType::F32));
        assert!(accepts(infinity, infinity, 0.0, DType::F32) && !accepts(-infinity, infinity, 0.0, DType::F32));
        // What overflows f32 becomes infinite, and nothing else may.
        assert!(accepts(infinity, 1e39, 0.0, DType::F32) && !accepts(infinity, 1e38, 0.0, DType::F32));
        assert!(accepts(0.0, -0.0, 0.0, DType::F32));
    }

    #[test]
    fn bits_are_compared_for_movement() {
        let zero = HostData::F32(vec![0.0]);
        assert!(first_difference(&zero, &HostData::F32(vec![-0.0])).is_some());
        assert!(first_difference(&HostData::F32(vec![f32::NAN]), &HostData::F32(vec![-f32::NAN])).is_none());
        assert!(first_difference(&zero, &HostData::F64(vec![0.0])).is_some());
    }
}
