//! The one place that decides, at run time, which instruction set a kernel uses.
//!
//! A kernel is a plain loop. [`simd_dispatch!`](crate::simd_dispatch!) compiles it once for every instruction set of the target, as a function
//! with `#[target_feature]`, so that the compiler vectorises it with the wide registers, and picks one of the copies
//! at each call. Inside the loop, a type parameter stands for the instruction set: arithmetic that differs between them
//! (a fused multiply-add above all) goes through [`InstructionSet`], and so do the functions of
//! [`VectorMath`](crate::vector::VectorMath).
//!
//! ```
//! use osnova_cpu::{simd_dispatch, vector::VectorMath};
//!
//! simd_dispatch! {
//!     /// Softplus, `ln(1 + exp(x))`, of every element.
//!     fn softplus[S]<T>(input: &[T], output: &mut [T]) where [T: VectorMath] {
//!         for (output, &input) in output.iter_mut().zip(input) {
//!             *output = input.exp::<S>().ln1p::<S>();
//!         }
//!     }
//! }
//!
//! let mut output = [0.0f32; 2];
//! softplus(&[0.0, 1.0], &mut output);
//! assert!((output[0] - 0.6931472).abs() < 1e-6);
//! ```
//!
//! What the loop calls must be `#[inline(always)]` (closures are inlined when small): a function that stays a call is
//! compiled for the portable set, and the loop around it is not vectorised.

use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that kernels are compiled for, from the narrowest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What every processor of the target has: SSE2 on x86-64.
    Portable = 1,
    /// 128-bit registers with fused multiply-add; every AArch64 processor has them.
    Neon = 2,
    /// 256-bit registers, fused multiply-add and half-precision conversion: x86-64 since 2013.
    Avx2Fma = 3,
    /// 512-bit registers and masks: x86-64 servers since 2017, desktops since 2022.
    Avx512 = 4,
}

impl Level {
    /// The name in `OSNOVA_CPU_LEVEL`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2Fma => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

/// Arithmetic that compiles to different code on different instruction sets.
pub trait InstructionSet: Copy + Send + Sync + 'static {
    /// The level this stands for.
    const LEVEL: Level;
    /// Whether [`mul_add_f32`](Self::mul_add_f32) rounds once.
    const FUSED: bool;
    /// `a * b + c`: rounded once where the instruction set has a fused multiply-add, twice elsewhere, never a call.
    fn mul_add_f32(a: f32, b: f32, c: f32) -> f32;
    /// `a * b + c` in double precision, under the same rule.
    fn mul_add_f64(a: f64, b: f64, c: f64) -> f64;
}

macro_rules! instruction_set {
    ($(#[$doc:meta])* $name:ident, $level:ident, fused: $fused:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl InstructionSet for $name {
            const LEVEL: Level = Level::$level;
            const FUSED: bool = $fused;

            #[inline(always)]
            fn mul_add_f32(a: f32, b: f32, c: f32) -> f32 {
                // Without the instruction, `mul_add` would call a library function that emulates it.
                if $fused { a.mul_add(b, c) } else { a * b + c }
            }

            #[inline(always)]
            fn mul_add_f64(a: f64, b: f64, c: f64) -> f64 {
                if $fused { a.mul_add(b, c) } else { a * b + c }
            }
        }
    };
}

instruction_set!(
    /// [`Level::Portable`].
    Portable, Portable, fused: cfg!(any(target_feature = "fma", target_arch = "aarch64"))
);
#[cfg(target_arch = "aarch64")]
instruction_set!(
    /// [`Level::Neon`].
    Neon, Neon, fused: true
);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    /// [`Level::Avx2Fma`].
    Avx2Fma, Avx2Fma, fused: true
);
#[cfg(target_arch = "x86_64")]
instruction_set!(
    /// [`Level::Avx512`].
    Avx512, Avx512, fused: true
);

/// The widest level that this processor has, or what `OSNOVA_CPU_LEVEL` (`portable`, `neon`, `avx2`, `avx512`) lowers
/// it to. A name that is unknown, or a level that the processor lacks, is told on the standard error and ignored.
#[inline]
pub fn level() -> Level {
    match CHOSEN.load(Ordering::Relaxed) {
        0 => choose(),
        code => from_code(code),
    }
}

/// The levels this processor can run, narrowest first.
pub fn available_levels() -> Vec<Level> {
    [Level::Portable, Level::Neon, Level::Avx2Fma, Level::Avx512].into_iter().filter(|&level| supports(level)).collect()
}

/// Sets the level for the whole process: for tests that compare levels. A level that the processor lacks is ignored.
#[doc(hidden)]
pub fn force_level(level: Level) {
    if supports(level) {
        CHOSEN.store(level as u8, Ordering::Relaxed);
    }
}

/// The chosen level's code, 0 while none has been chosen.
static CHOSEN: AtomicU8 = AtomicU8::new(0);

fn from_code(code: u8) -> Level {
    match code {
        2 => Level::Neon,
        3 => Level::Avx2Fma,
        4 => Level::Avx512,
        _ => Level::Portable,
    }
}

#[cold]
fn choose() -> Level {
    let available = available_levels();
    let parse = |text: &str| {
        let found = available.iter().find(|level| level.name().eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| {
            let names: Vec<_> = available.iter().map(|level| level.name()).collect();
            format!("this processor has {}", names.join(", "))
        })
    };
    let widest = available.last().copied().unwrap_or(Level::Portable);
    let level = crate::environment::choice("OSNOVA_CPU_LEVEL", parse).unwrap_or(widest);
    CHOSEN.store(level as u8, Ordering::Relaxed);
    level
}

/// Whether the processor reports all of these features.
#[cfg(target_arch = "x86_64")]
macro_rules! detected {
    ($($feature:tt)+) => { $(is_x86_feature_detected!($feature))&&+ };
}

/// Every feature that `simd_dispatch!` and the kernels of `gemm` enable is asked for here, by itself: an emulator or a
/// hypervisor may hide one that every processor of the generation has.
#[cfg(target_arch = "x86_64")]
fn supports(level: Level) -> bool {
    let avx2 = || detected!("avx2" "fma" "f16c" "bmi1" "bmi2" "lzcnt" "popcnt");
    match level {
        Level::Portable => true,
        Level::Neon => false,
        Level::Avx2Fma => avx2(),
        Level::Avx512 => avx2() && detected!("avx512f" "avx512bw" "avx512dq" "avx512vl"),
    }
}

#[cfg(target_arch = "aarch64")]
fn supports(level: Level) -> bool {
    matches!(level, Level::Portable | Level::Neon)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn supports(level: Level) -> bool {
    level == Level::Portable
}

/// Defines functions whose bodies are compiled once for every instruction set and chosen at run time.
///
/// `fn name[S]<T, F>(argument: Type, …) -> Output where [T: Bound, F: Fn(T) -> T] { body }`: `S` names the instruction
/// set inside the body and is filled in by the macro; the type parameters, the output and the `where` list may be
/// left out. Several functions may stand in one block. See the [module](crate::dispatch) for an example.
#[macro_export]
#[doc(hidden)]
macro_rules! simd_dispatch {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis fn $name:ident[$set:ident] $(<$($generic:ident),+ $(,)?>)?
        ($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)?
        $(where [$($bound:tt)*])?
        $body:block
    )+) => {$(
        $(#[$attribute])*
        #[inline]
        $visibility fn $name $(<$($generic),+>)? ($($argument: $type),*) $(-> $output)? $(where $($bound)*)? {
            #[inline(always)]
            #[allow(clippy::extra_unused_type_parameters, clippy::too_many_arguments)]
            fn body<$set: $crate::dispatch::InstructionSet $(, $($generic),+)?>($($argument: $type),*) $(-> $output)?
            $(where $($bound)*)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
            #[allow(clippy::too_many_arguments)]
            fn avx2 $(<$($generic),+>)? ($($argument: $type),*) $(-> $output)? $(where $($bound)*)? {
                body::<$crate::dispatch::Avx2Fma $(, $($generic),+)?>($($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
            #[allow(clippy::too_many_arguments)]
            fn avx512 $(<$($generic),+>)? ($($argument: $type),*) $(-> $output)? $(where $($bound)*)? {
                body::<$crate::dispatch::Avx512 $(, $($generic),+)?>($($argument),*)
            }

            match $crate::dispatch::level() {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: these levels are chosen only after the processor reported the features.
                $crate::dispatch::Level::Avx512 => unsafe {
                    avx512 $(::<$($generic),+>)? ($($argument),*)
                },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: these levels are chosen only after the processor reported the features.
                $crate::dispatch::Level::Avx2Fma => unsafe {
                    avx2 $(::<$($generic),+>)? ($($argument),*)
                },
                // NEON belongs to the AArch64 baseline: the plain function is already compiled for it.
                #[cfg(target_arch = "aarch64")]
                $crate::dispatch::Level::Neon => body::<$crate::dispatch::Neon $(, $($generic),+)?>($($argument),*),
                _ => body::<$crate::dispatch::Portable $(, $($generic),+)?>($($argument),*),
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lists of features behind a word in a source file, as single features.
    fn features<'a>(source: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
        let lists = source.split(word).skip(1).filter_map(|rest| rest.strip_prefix('"')?.split('"').next());
        lists.flat_map(|list| list.split(','))
    }

    #[test]
    fn every_feature_that_is_enabled_is_detected_first() {
        let (own, _) = include_str!("dispatch.rs").split_once("#[cfg(test)]").unwrap();
        let (_, detection) = own.split_once("fn supports").unwrap();
        let (detection, _) = detection.split_once("#[cfg").unwrap();
        let sources = [own, include_str!("gemm/block.rs"), include_str!("gemm/dots.rs")];
        let mut known = 0;
        for feature in
            sources.iter().flat_map(|source| features(source, "enable = ").chain(features(source, "features ")))
        {
            assert!(detection.contains(&format!("\"{feature}\"")), "`{feature}` is enabled but never detected");
            known += 1;
        }
        assert!(known > 30, "the lists were not found: only {known} features");
    }

    #[test]
    #[cfg_attr(miri, ignore = "reads files")]
    fn no_other_file_enables_features() {
        fn visit(folder: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    visit(&path, found);
                } else if std::fs::read_to_string(&path).is_ok_and(|text| text.contains("target_feature(enable")) {
                    found.push(entry.file_name().into_string().unwrap());
                }
            }
        }
        let mut found = Vec::new();
        visit(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        found.sort();
        assert_eq!(found, ["block.rs", "dispatch.rs", "dots.rs"], "add the file to the test above");
    }

    #[test]
    fn the_chosen_level_is_one_of_the_processor() {
        assert!(available_levels().contains(&level()));
    }
}
