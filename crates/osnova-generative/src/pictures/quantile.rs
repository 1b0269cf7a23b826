//! The quantiles of the normal distribution.

// Wichura 1988, Algorithm AS 241: ratios of polynomials for three stretches, from the highest power down.
const CENTRE_NUMERATOR: [f64; 8] = [
    2_509.080_928_730_122_7,
    33_430.575_583_588_13,
    67_265.770_927_008_7,
    45_921.953_931_549_87,
    13_731.693_765_509_46,
    1_971.590_950_306_551_3,
    133.141_667_891_784_38,
    3.387_132_872_796_366_5,
];

const CENTRE_DENOMINATOR: [f64; 8] = [
    5_226.495_278_852_854,
    28_729.085_735_721_943,
    39_307.895_800_092_71,
    21_213.794_301_586_597,
    5_394.196_021_424_751,
    687.187_007_492_057_9,
    42.313_330_701_600_91,
    1.0,
];

const MIDDLE_NUMERATOR: [f64; 8] = [
    0.000_774_545_014_278_341_4,
    0.022_723_844_989_269_184,
    0.241_780_725_177_450_6,
    1.270_458_252_452_368_4,
    3.647_848_324_763_204_5,
    5.769_497_221_460_691,
    4.630_337_846_156_546,
    1.423_437_110_749_683_5,
];

const MIDDLE_DENOMINATOR: [f64; 8] = [
    1.050_750_071_644_416_9e-09,
    0.000_547_593_808_499_534_5,
    0.015_198_666_563_616_457,
    0.148_103_976_427_480_08,
    0.689_767_334_985_1,
    1.676_384_830_183_803_8,
    2.053_191_626_637_759,
    1.0,
];

const TAIL_NUMERATOR: [f64; 8] = [
    2.010_334_399_292_288_1e-07,
    2.711_555_568_743_487_6e-05,
    0.001_242_660_947_388_078_4,
    0.026_532_189_526_576_124,
    0.296_560_571_828_504_87,
    1.784_826_539_917_291_3,
    5.463_784_911_164_114,
    6.657_904_643_501_103,
];

const TAIL_DENOMINATOR: [f64; 8] = [
    2.044_263_103_389_939_7e-15,
    1.421_511_758_316_446e-07,
    1.846_318_317_510_054_8e-05,
    0.000_786_869_131_145_613_3,
    0.014_875_361_290_850_615,
    0.136_929_880_922_735_8,
    0.599_832_206_555_888,
    1.0,
];

/// Where N(0, 1) has so much of its probability below: the inverse of its distribution function, to about 16 digits (Wichura
/// 1988, Algorithm AS 241). −∞ at 0, ∞ at 1, NaN outside.
///
/// ```
/// use osnova_generative::pictures::standard_normal_quantile;
///
/// assert_eq!(standard_normal_quantile(0.5), 0.0);
/// assert!((standard_normal_quantile(0.975) - 1.959963984540054).abs() < 1e-15);
/// ```
pub fn standard_normal_quantile(probability: f64) -> f64 {
    if !(0.0..=1.0).contains(&probability) {
        return f64::NAN;
    }
    let from_middle = probability - 0.5;
    if from_middle.abs() <= 0.425 {
        let place = 0.180625 - from_middle * from_middle;
        return from_middle * polynomial(&CENTRE_NUMERATOR, place) / polynomial(&CENTRE_DENOMINATOR, place);
    }
    let tail = if from_middle < 0.0 { probability } else { 1.0 - probability };
    if tail == 0.0 {
        return f64::INFINITY.copysign(from_middle);
    }
    let place = (-tail.ln()).sqrt();
    let size = if place <= 5.0 {
        polynomial(&MIDDLE_NUMERATOR, place - 1.6) / polynomial(&MIDDLE_DENOMINATOR, place - 1.6)
    } else {
        polynomial(&TAIL_NUMERATOR, place - 5.0) / polynomial(&TAIL_DENOMINATOR, place - 5.0)
    };
    size.copysign(from_middle)
}

/// Horner's rule.
fn polynomial(coefficients: &[f64], place: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * place + coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn below(value: f64) -> f64 {
        0.5 * libm::erfc(-value / 2f64.sqrt())
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Worked out to 40 digits with mpmath and rounded.
        for (probability, expected) in [
            (0.5, 0.0),
            (0.75, 0.674_489_750_196_081_7),
            (0.9, 1.281_551_565_544_600_4),
            (0.975, 1.959_963_984_540_054),
            (0.001, -3.090_232_306_167_813_5),
            (1e-10, -6.361_340_902_404_056),
            (1e-20, -9.262_340_089_798_408),
            (1e-300, -37.047_096_299_361_2),
        ] {
            let found = standard_normal_quantile(probability);
            assert!((found - expected).abs() <= 1e-14 * expected.abs(), "{probability}: {found}, not {expected}");
        }
    }

    #[test]
    fn the_ends_are_infinite_and_the_outside_is_nan() {
        assert_eq!(standard_normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(standard_normal_quantile(1.0), f64::INFINITY);
        for outside in [-1e-300, 1.0 + f64::EPSILON, f64::NAN, f64::INFINITY] {
            assert!(standard_normal_quantile(outside).is_nan());
        }
    }

    proptest! {
        #[test]
        fn the_distribution_function_leads_back(value in -37.0f64..8.0) {
            let found = standard_normal_quantile(below(value));
            // Near 1 a probability has few digits left for the tail.
            let rounding = f64::EPSILON * (value.max(0.0).powi(2) / 2.0).exp() * 2.6;
            prop_assert!((found - value).abs() < 1e-9 + rounding, "{} {}", found, value);
        }

        #[test]
        fn quantiles_lead_back(logarithm in -690.0f64..0.0, upper in any::<bool>()) {
            let tail = logarithm.exp() / 2.0;
            let probability = if upper { 1.0 - tail } else { tail };
            let back = below(standard_normal_quantile(probability));
            prop_assert!((back - probability).abs() <= 1e-9 * probability.min(1.0 - probability) + 1e-15 * probability);
        }
    }
}
