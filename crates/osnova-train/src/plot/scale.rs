//! From numbers to pixels: ranges, ticks at round numbers, their labels.

use super::svg::text_width;

/// Values beyond this are drawn at it: the width of a range must stay finite.
const LARGEST: f64 = 1e300;
/// Values nearer to zero are drawn at zero, on a logarithmic axis at this: a tenth of them must
/// still be a normal number.
const SMALLEST: f64 = 1e-280;

/// How an axis spreads its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spacing {
    Linear,
    Logarithmic,
}

impl Spacing {
    /// Whether an axis of this kind has a place for the value.
    pub(super) fn shows(self, value: f64) -> bool {
        value.is_finite() && (self == Self::Linear || value > 0.0)
    }

    fn transform(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.clamp(f64::MIN_POSITIVE, f64::MAX).log10(),
        }
    }
}

/// The least and the greatest number an axis shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Range {
    /// The range of those values the spacing can show; `None` without any.
    pub(super) fn of(values: impl IntoIterator<Item = f64>, spacing: Spacing) -> Option<Self> {
        values
            .into_iter()
            .filter(|&value| spacing.shows(value))
            .map(|value| match spacing {
                Spacing::Linear => value.clamp(-LARGEST, LARGEST),
                Spacing::Logarithmic => value.clamp(SMALLEST, LARGEST),
            })
            .fold(None, |range, value| {
                Some(match range {
                    None => Self { low: value, high: value },
                    Some(Self { low, high }) => Self { low: low.min(value), high: high.max(value) },
                })
            })
    }

    /// The range with `fraction` of its width added on both sides; one number gets room around it.
    pub(super) fn padded(self, fraction: f64, spacing: Spacing) -> Self {
        match spacing {
            Spacing::Linear => {
                let width = self.high - self.low;
                let magnitude = self.low.abs().max(self.high.abs());
                // Below this neighbouring ticks would be the same floating-point number.
                if width <= (magnitude * 1e-12).max(SMALLEST) {
                    let room = if magnitude <= SMALLEST { 0.5 } else { magnitude * 0.1 };
                    return Self { low: self.low - room, high: self.high + room };
                }
                Self { low: self.low - width * fraction, high: self.high + width * fraction }
            }
            Spacing::Logarithmic => {
                let (low, high) = (self.low.log10(), self.high.log10());
                let room = ((high - low) * fraction).max(0.05);
                Self { low: 10f64.powf(low - room).max(SMALLEST / 10.0), high: 10f64.powf(high + room) }
            }
        }
    }
}

/// A linear or logarithmic map from a range of numbers to a range of pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    spacing: Spacing,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    pub(super) fn new(range: Range, spacing: Spacing, from: f64, to: f64) -> Self {
        Self { spacing, low: spacing.transform(range.low), high: spacing.transform(range.high), from, to }
    }

    /// The pixel of a value.
    pub(super) fn position(&self, value: f64) -> f64 {
        // Halves first: the difference of two huge numbers of opposite sign stays finite.
        let value = self.spacing.transform(value);
        let part = (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0);
        self.from + part * (self.to - self.from)
    }
}

/// A number an axis names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) value: f64,
    pub(super) label: String,
}

/// About `count` ticks at round numbers inside the range; `whole` keeps them to whole numbers.
pub(super) fn ticks(range: Range, spacing: Spacing, count: usize, whole: bool) -> Vec<Tick> {
    match spacing {
        Spacing::Linear => linear_ticks(range, count, whole),
        Spacing::Logarithmic => logarithmic_ticks(range, count),
    }
}

fn linear_ticks(range: Range, count: usize, whole: bool) -> Vec<Tick> {
    let count = count.max(1) as f64;
    let mut step = round_up(range.high / count - range.low / count);
    if whole {
        step = step.max(1.0);
    }
    // `!(step > 0)` also catches NaN.
    if !step.is_finite() || step <= 0.0 {
        return Vec::new();
    }
    let first = (range.low / step).ceil();
    let last = (range.high / step).floor();
    let mut values = Vec::new();
    let mut multiple = first;
    // The bound is a guard only: the step leaves at most `count` of them.
    while multiple <= last && values.len() < 100 {
        values.push(multiple * step);
        multiple += 1.0;
    }
    label(&values, step)
}

/// The least of 1, 2, 5 times a power of ten that is not below `step`.
fn round_up(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = step / power;
    // Rounding may leave 5.000000001 where 5 was meant.
    let rounded = [1.0, 2.0, 5.0].into_iter().find(|&round| factor <= round * (1.0 + 1e-9)).unwrap_or(10.0);
    rounded * power
}

fn logarithmic_ticks(range: Range, count: usize) -> Vec<Tick> {
    let (low, high) = (range.low.log10(), range.high.log10());
    let decades = high - low;
    // Few decades: 1, 2 and 5 of each. Many: every n-th power of ten.
    let (factors, stride): (&[f64], f64) = if decades * 3.0 <= count as f64 {
        (&[1.0, 2.0, 5.0], 1.0)
    } else {
        (&[1.0], (decades / count.max(1) as f64).ceil().max(1.0))
    };
    let mut found = Vec::new();
    let mut exponent = (low.floor() / stride).floor() * stride;
    while exponent <= high {
        for factor in factors {
            let value = factor * 10f64.powf(exponent);
            if value >= range.low && value <= range.high {
                found.push(Tick { value, label: label_one(value, value) });
            }
        }
        exponent += stride;
    }
    // Less than a decade may hold one round number or none: go by the linear rule then.
    if found.len() < 2 {
        return linear_ticks(range, count, false);
    }
    found
}

fn label(values: &[f64], step: f64) -> Vec<Tick> {
    let greatest = values.iter().fold(0.0f64, |greatest, value| greatest.max(value.abs()));
    values
        .iter()
        .map(|&value| Tick {
            // -0 would be written "-0".
            value: if value == 0.0 { 0.0 } else { value },
            label: label_by(value, step, greatest),
        })
        .collect()
}

/// The label of a number that stands alone, exact to about `step`.
pub(super) fn label_one(value: f64, step: f64) -> String {
    label_by(value, step, value.abs())
}

/// A number as an axis writes it whose ticks are `step` apart and reach up to `greatest`.
fn label_by(value: f64, step: f64, greatest: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rounded steps are exact powers times 1, 2 or 5; the nudge is for the logarithm's rounding.
    let exponent = (step.abs().log10() + 1e-9).floor();
    if (1e-4..1e6).contains(&greatest) {
        let decimals = (-exponent).clamp(0.0, 15.0) as usize;
        return format!("{value:.decimals$}");
    }
    let digits = (greatest.log10() + 1e-9).floor() - exponent;
    let text = format!("{value:.*e}", digits.clamp(0.0, 15.0) as usize);
    match text.split_once('e') {
        Some((mantissa, power)) if mantissa.contains('.') => {
            let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
            format!("{mantissa}e{power}")
        }
        _ => text,
    }
}

/// Ticks along `pixels` of a horizontal axis, as many as fit with their labels side by side.
pub(super) fn ticks_along(range: Range, spacing: Spacing, pixels: f64, size: f64, whole: bool) -> Vec<Tick> {
    let mut count = (pixels / 60.0).clamp(2.0, 12.0) as usize;
    loop {
        let ticks = ticks(range, spacing, count, whole);
        let widest = widest_label(&ticks, size);
        if count <= 1 || ticks.len() as f64 * (widest + 14.0) <= pixels + widest {
            return ticks;
        }
        count -= 1;
    }
}

/// The width of the widest label.
pub(super) fn widest_label(ticks: &[Tick], size: f64) -> f64 {
    ticks.iter().map(|tick| text_width(&tick.label, size)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(low: f64, high: f64, count: usize) -> Vec<String> {
        linear_ticks(Range { low, high }, count, false).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_stand_at_round_numbers() {
        assert_eq!(labels(0.0, 1.0, 5), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(-3.0, 17.0, 5), ["0", "5", "10", "15"]);
        assert_eq!(labels(0.971, 0.979, 4), ["0.972", "0.974", "0.976", "0.978"]);
        assert_eq!(labels(0.0, 3e6, 3), ["0", "1e6", "2e6", "3e6"]);
        assert_eq!(labels(9.9e5, 1.01e6, 2), ["9.9e5", "1e6", "1.01e6"], "as many digits as tell the ticks apart");
        assert_eq!(labels(0.0, 2e-5, 2), ["0", "1e-5", "2e-5"]);
    }

    #[test]
    fn whole_ticks_do_not_repeat_a_label() {
        let range = Range { low: 1.0, high: 3.0 };
        let ticks = linear_ticks(range, 10, true);
        let labels: Vec<_> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["1", "2", "3"]);
    }

    #[test]
    fn any_range_gives_few_distinct_ticks_inside_it() {
        let ends = [-1e300, -1e17, -1.0, -1e-300, 0.0, 5e-324, 1e-9, 1.0, 1.0 + 1e-15, 1e17, 1e300];
        for low in ends {
            for high in ends.into_iter().filter(|&high| high >= low) {
                let range = Range { low, high }.padded(0.05, Spacing::Linear);
                for count in 1..=12 {
                    let ticks = linear_ticks(range, count, false);
                    assert!(ticks.len() <= count + 1, "{range:?} {count}");
                    for pair in ticks.windows(2) {
                        assert!(pair[0].value < pair[1].value, "{range:?}");
                        assert_ne!(pair[0].label, pair[1].label, "{range:?}");
                    }
                    for tick in &ticks {
                        // Three times 0.1 is a little more than 0.3.
                        let slack = (range.high / 2.0 - range.low / 2.0) * 1e-9;
                        assert!(tick.value >= range.low - slack);
                        assert!(tick.value <= range.high + slack);
                    }
                }
            }
        }
    }

    #[test]
    fn a_logarithmic_axis_names_powers_of_ten() {
        let range = Range { low: 0.5e-3, high: 20.0 };
        let ticks = ticks(range, Spacing::Logarithmic, 6, false);
        let labels: Vec<_> = ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["0.001", "0.01", "0.1", "1", "10"]);
        let scale = Scale::new(range, Spacing::Logarithmic, 0.0, 100.0);
        let gap = scale.position(0.1) - scale.position(0.01);
        assert!((gap - (scale.position(10.0) - scale.position(1.0))).abs() < 1e-9);
    }

    #[test]
    fn a_narrow_logarithmic_axis_still_has_two_ticks() {
        let range = Range { low: 0.31, high: 0.42 };
        assert!(ticks(range, Spacing::Logarithmic, 6, false).len() >= 2);
    }

    #[test]
    fn one_value_gets_room_around_it() {
        for value in [0.0, 1.0, -7.5, 1e300, 1e-300] {
            let range = Range { low: value, high: value }.padded(0.05, Spacing::Linear);
            assert!(range.low < value && value < range.high, "{value}");
            let scale = Scale::new(range, Spacing::Linear, 0.0, 100.0);
            assert!((scale.position(value) - 50.0).abs() < 10.0 + 1e-6 || value.abs() == 1e300);
        }
    }
}
