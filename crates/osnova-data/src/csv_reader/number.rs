//! Numbers in text as `f32`, and which of them an `f32` does not hold.
//!
//! Fractions round to the nearest `f32`, as they do everywhere. But above 2²⁴ = 16,777,216 neighbouring `f32` lie more
//! than one apart, and two times, identifiers or counts can become the same number. So a number whose digits are
//! written down to the unit must not be moved by a unit or more, unless it is how that `f32` is written: shortest
//! decimals, as programs write them that hold `f32` themselves, are `f32` exactly, whatever digits they leave out.

/// From here on, not every whole number is an `f32`.
const WHOLE: f32 = 16_777_216.0;

/// What an `f32` makes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// As near as can be expected.
    Near,
    /// Exactly the number; but a shorter one, that is another number, is read as the same `f32`.
    ExactOnly,
    /// Another number, of which this one is the shortest decimal.
    Shortest,
    /// It loses the number.
    Lost,
}

/// How `value` represents the number that `text`, from which it was parsed, writes.
pub(super) fn fit(text: &str, value: f32) -> Fit {
    if value == 0.0 {
        // Most zeros are written with one digit.
        return if text.len() > 1 && mantissa(text).contains(|digit| matches!(digit, '1'..='9')) {
            Fit::Lost
        } else {
            Fit::Near
        };
    }
    if value.abs() < WHOLE { Fit::Near } else { large_fit(text, value) }
}

fn mantissa(text: &str) -> &str {
    text.split(['e', 'E']).next().unwrap_or(text)
}

/// [`fit`] of a number of 2²⁴ or more.
fn large_fit(text: &str, value: f32) -> Fit {
    let Some((whole, has_fraction)) = integer_part(text) else { return Fit::Near };
    // Every finite f32 of this size is a whole number below 2^128.
    let held = value.abs() as u128;
    let moved = match held.cmp(&whole) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => false,
        std::cmp::Ordering::Greater => held - whole > u128::from(has_fraction),
    };
    let shortest = || value.abs().to_string().parse() == Ok(whole) && !has_fraction;
    match moved {
        true if shortest() => Fit::Shortest,
        true => Fit::Lost,
        false if held == whole && !has_fraction && !shortest() => Fit::ExactOnly,
        false => Fit::Near,
    }
}

/// The integer part of a number's magnitude and whether it has a fraction; `None` if its digits do not reach the unit, as
/// in 1.5e12, which does not claim to know it.
fn integer_part(text: &str) -> Option<(u128, bool)> {
    let mantissa = mantissa(text);
    // `f32` has parsed the text, so what follows the mantissa is the exponent.
    let exponent: i64 = text.get(mantissa.len() + 1..).map_or(Some(0), |exponent| exponent.parse().ok())?;
    let mantissa = mantissa.trim_start_matches(['+', '-']);
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // How many of the digits stand before the point, once the exponent has moved it.
    let places = usize::try_from((before.len() as i64).checked_add(exponent)?).ok()?;
    if places > before.len() + after.len() {
        return None;
    }
    let (mut whole, mut has_fraction) = (0u128, false);
    for (place, digit) in before.bytes().chain(after.bytes()).map(|digit| digit - b'0').enumerate() {
        if place < places {
            // A number beyond 2^128 is beyond f32 too, and was refused before.
            whole = whole.saturating_mul(10).saturating_add(u128::from(digit));
        } else {
            has_fraction |= digit != 0;
        }
    }
    Some((whole, has_fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Fit {
        fit(text, text.parse().unwrap())
    }

    #[test]
    fn whole_numbers_are_held_or_lost() {
        for held in ["0", "-0.0", "0e5", "16777216", "-16777218", "16777215", "1700000000", "3e38", "20000001.5"] {
            assert_eq!(of(held), Fit::Near, "{held}");
        }
        for lost in [
            "16777217",
            "-16777217",
            "+16777217",
            "16777217.0",
            "1700000001",
            "1700000050",
            "9007199254740993",
            "123456789",
            "1.700000001e9",
            "1.700000001000000000e+09",
            "170000000100E-2",
            "1700000001.25",
            "18446744073709551615",
            "340282346638528859811704183484516925439",
            "0016777217",
        ] {
            assert_eq!(of(lost), Fit::Lost, "{lost}");
        }
        // Digits that do not reach the unit claim nothing about it.
        for rounded in ["1.2345678e12", "6.02214076e23", "123456789e1", "1.5e30"] {
            assert_eq!(of(rounded), Fit::Near, "{rounded}");
        }
        for tiny in ["1e-50", "-0.00001e-60", "1e-999999999999999999999"] {
            assert_eq!(of(tiny), Fit::Lost, "{tiny}");
        }
    }

    #[test]
    fn what_f32_writes_is_what_f32_reads() {
        for bits in (0x4b80_0000..0x7f80_0000u32).step_by(104_729) {
            let value = f32::from_bits(bits);
            assert!(matches!(of(&value.to_string()), Fit::Near | Fit::Shortest), "{value}");
            assert!(matches!(of(&format!("{value:e}")), Fit::Near | Fit::Shortest), "{value:e}");
        }
        assert_eq!(of("100000010"), Fit::Shortest);
        for exact in ["100000008", "134217728", "4294967296.0"] {
            assert_eq!(of(exact), Fit::ExactOnly, "{exact}");
        }
    }

    #[test]
    fn no_two_whole_numbers_are_held_as_one() {
        for start in [16_777_200u64, 33_554_400, 99_999_990, 1_700_000_000, 4_294_967_200, 9_007_199_254_740_900] {
            let mut seen = std::collections::BTreeMap::new();
            for number in start..start + 1000 {
                let text = number.to_string();
                let value: f32 = text.parse().unwrap();
                match fit(&text, value) {
                    Fit::Lost => {}
                    kind => seen.entry(value.to_bits()).or_insert_with(Vec::new).push(kind),
                }
            }
            for kinds in seen.values() {
                // A column that has both kinds is refused.
                assert!(
                    matches!(kinds[..], [_] | [Fit::ExactOnly, Fit::Shortest] | [Fit::Shortest, Fit::ExactOnly]),
                    "{kinds:?}"
                );
            }
        }
    }
}
