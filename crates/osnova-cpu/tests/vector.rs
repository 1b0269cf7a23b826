//! The vectorised functions against double precision: sampled, or over every `f32` with `OSNOVA_THOROUGH=1`.

use osnova_cpu::dispatch::{Level, Portable, available_levels, force_level};
use osnova_cpu::vector::{self, VectorMath};

struct Function {
    name: &'static str,
    slice: fn(&[f32], &mut [f32]),
    portable: fn(f32) -> f32,
    exact: fn(f64) -> f64,
    /// The largest error in units in the last place, dispatched to the widest instructions and portable.
    bound: (f64, f64),
}

/// The functions, and a test for each in the module `bounds`, so that the exhaustive runs can be asked for one by one.
macro_rules! functions {
    ($($name:ident, $bound:expr, $exact:expr;)*) => {
        mod functions {
            use super::*;
            $(pub(crate) fn $name() -> Function {
                Function {
                    name: stringify!($name),
                    slice: vector::$name::<f32>,
                    portable: |x| VectorMath::$name::<Portable>(x),
                    exact: $exact,
                    bound: $bound,
                }
            })*
        }

        fn functions() -> Vec<Function> {
            vec![$(functions::$name()),*]
        }

        mod bounds {
            $(#[test]
            fn $name() {
                super::check_bounds(&super::functions::$name());
            })*
        }
    };
}

functions! {
    exp, (1.0, 1.0), libm::exp;
    expm1, (2.0, 2.0), libm::expm1;
    ln, (1.0, 1.0), libm::log;
    ln1p, (2.0, 2.0), libm::log1p;
    tanh, (2.0, 2.0), libm::tanh;
    sigmoid, (2.0, 2.5), |x| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
    erf, (2.0, 2.0), libm::erf;
    sin, (2.0, 2.0), libm::sin;
    cos, (2.0, 2.0), libm::cos;
    sqrt, (0.5, 0.5), f64::sqrt;
    rsqrt, (1.5, 1.5), |x| 1.0 / x.sqrt();
    recip, (0.5, 0.5), |x| 1.0 / x;
}

/// The distance of `got` from `want` in units of the last place that an `f32` near `want` has.
fn error_in_ulp(got: f32, want: f64) -> f64 {
    if want.is_nan() {
        return if got.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got.is_nan() {
        return f64::INFINITY;
    }
    if (want as f32).is_infinite() && got == want as f32 {
        return 0.0;
    }
    // An infinite result stands for the number after the largest.
    let got = if got.is_infinite() { f64::from(got.signum()) * 2f64.powi(128) } else { f64::from(got) };
    // The exponent of `want` stands in its bits; taking it from there halves the time of the exhaustive run.
    let exponent = ((want.to_bits() >> 52 & 0x7ff) as i64 - 1023).clamp(-126, 127);
    (got - want).abs() * f64::from_bits(((23 - exponent + 1023) as u64) << 52)
}

const EDGES: [f32; 40] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1e-40,
    f32::EPSILON,
    88.722_84,
    88.722_83,
    88.8,
    -87.336_55,
    -103.972_08,
    -103.97,
    -104.0,
    -150.0,
    0.55,
    -0.55,
    0.549_999_95,
    0.92,
    0.919_999_96,
    3.9,
    4.0,
    9.01,
    16_777_216.0,
    16_777_215.0,
    1e30,
    std::f32::consts::PI,
    std::f32::consts::FRAC_PI_2,
    std::f32::consts::SQRT_2,
    std::f32::consts::FRAC_1_SQRT_2,
    16.635_532,
    -17.4,
];

/// Calls `check` with slices that together hold the sampled arguments.
fn for_arguments(check: impl Fn(&[f32]) + Sync) {
    const RUN: u64 = 1 << 16;
    check(&EDGES);
    if std::env::var_os("OSNOVA_THOROUGH").is_some() {
        let next = std::sync::atomic::AtomicU64::new(0);
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let start = next.fetch_add(RUN, std::sync::atomic::Ordering::Relaxed);
                        if start >= 1 << 32 {
                            break;
                        }
                        check(&(start..start + RUN).map(|bits| f32::from_bits(bits as u32)).collect::<Vec<_>>());
                    }
                });
            }
        });
    } else {
        let sampled = |step: usize| (0..=u32::MAX).step_by(step).map(f32::from_bits).collect::<Vec<_>>();
        check(&sampled(65_537));
        // Most bit patterns are far from one; the functions bend near it.
        check(&(0..120_000).map(|index| (index as f32 - 60_000.0) * 0.000_371).collect::<Vec<_>>());
    }
}

/// The worst error so far, where it was and what came out there.
#[derive(Clone, Copy, Default)]
struct Worst {
    ulp: f64,
    argument: f32,
    result: f32,
}

impl Worst {
    fn or(self, ulp: f64, argument: f32, result: f32) -> Self {
        if ulp > self.ulp { Self { ulp, argument, result } } else { self }
    }
}

/// Both versions of one function against double precision, which is computed once: it takes the most time.
fn check_bounds(function: &Function) {
    let worst = std::sync::Mutex::new([Worst::default(); 2]);
    for_arguments(|arguments| {
        let mut results = vec![0.0; arguments.len()];
        (function.slice)(arguments, &mut results);
        let mut local = [Worst::default(); 2];
        for (&argument, &dispatched) in arguments.iter().zip(&results) {
            let exact = (function.exact)(f64::from(argument));
            let portable = (function.portable)(argument);
            for (worst, result) in local.iter_mut().zip([dispatched, portable]) {
                *worst = worst.or(error_in_ulp(result, exact), argument, result);
            }
        }
        let mut worst = worst.lock().unwrap();
        for (worst, local) in worst.iter_mut().zip(local) {
            *worst = worst.or(local.ulp, local.argument, local.result);
        }
    });
    let worst = worst.into_inner().unwrap();
    for (level, worst, bound) in [("dispatched", worst[0], function.bound.0), ("portable", worst[1], function.bound.1)]
    {
        let Worst { ulp, argument, result } = worst;
        println!("{:8} {level:10} {ulp:.3} ulp at {argument:e}", function.name);
        assert!(
            ulp <= bound,
            "{level} {}({argument:e}) = {result:e} is {ulp} ulp off, more than {bound}",
            function.name
        );
    }
}

/// Compares a slice function with `exact`, allowing the absolute error `allowed(argument, exact result)`.
fn check_absolute(slice: fn(&[f32], &mut [f32]), exact: fn(f64) -> f64, allowed: impl Fn(f64, f64) -> f64 + Sync) {
    for_arguments(|arguments| {
        let mut results = vec![0.0; arguments.len()];
        slice(arguments, &mut results);
        for (&argument, &result) in arguments.iter().zip(&results) {
            let want = exact(f64::from(argument));
            let close = error_in_ulp(result, want) <= 1.0
                || (f64::from(result) - want).abs() <= allowed(f64::from(argument), want);
            assert!(close, "at {argument:e}: {result:e}, not {want:e}");
        }
    });
}

#[test]
fn gelu_is_close_in_absolute_terms() {
    let exact = |x: f64| if x < -40.0 { -0.0 } else { 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2) };
    check_absolute(vector::gelu::<f32>, exact, |x, _| 2f64.powi(-23) * x.abs());
}

#[test]
fn gelu_by_tangent_is_close_to_its_formula() {
    let exact = |x: f64| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
        if x < -40.0 { -0.0 } else { x / (1.0 + (-2.0 * inner).exp()) }
    };
    check_absolute(vector::gelu_tanh::<f32>, exact, |x, _| 2f64.powi(-23) * x.abs());
}

#[test]
fn silu_is_close_until_it_is_subnormal() {
    let exact = |x: f64| if x < -750.0 { -0.0 } else { x / (1.0 + (-x).exp()) };
    check_absolute(vector::silu::<f32>, exact, |_, want| 2.5 * 2f64.powi(-23) * want.abs() + 1e-43);
}

#[test]
fn signs_of_zero_and_limits_are_kept() {
    for function in functions() {
        if matches!(function.name, "expm1" | "ln1p" | "tanh" | "erf" | "sin") {
            let mut result = [1.0];
            (function.slice)(&[-0.0], &mut result);
            assert!(result[0] == 0.0 && result[0].is_sign_negative(), "{}(-0) is {:?}", function.name, result[0]);
        }
    }
}

#[test]
fn double_precision_follows_the_library() {
    let input = [-3.0, -0.5, 0.0, 1e-9, 0.7, 5.0f64];
    let mut output = [0.0; 6];
    vector::tanh(&input, &mut output);
    assert_eq!(output, input.map(f64::tanh));
    vector::sin(&input, &mut output);
    assert_eq!(output, input.map(f64::sin));
    vector::gelu(&input, &mut output);
    assert_eq!(output, input.map(|x| 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)));
}

#[test]
fn a_level_can_be_forced_and_an_absent_one_is_ignored() {
    let widest = osnova_cpu::dispatch::level();
    assert!(available_levels().contains(&widest));
    assert_eq!(available_levels()[0], Level::Portable);
    let absent = if cfg!(target_arch = "aarch64") { Level::Avx2Fma } else { Level::Neon };
    force_level(absent);
    assert_eq!(osnova_cpu::dispatch::level(), widest);
}

#[test]
fn the_cheaper_exponential_has_the_same_bits_below_zero() {
    let cheap = |x: f32| VectorMath::exp_of_nonpositive::<Portable>(x);
    for step in 0..=870_000 {
        let x = step as f32 * -1e-4;
        assert_eq!(cheap(x).to_bits(), VectorMath::exp::<Portable>(x).to_bits(), "{x}");
    }
    assert_eq!([cheap(-88.0), cheap(-1e30), cheap(f32::NEG_INFINITY)], [0.0; 3]);
    assert!(cheap(f32::NAN).is_nan());
}
