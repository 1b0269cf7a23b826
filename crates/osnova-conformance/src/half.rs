//! Derivatives in half types against f64 at the same inputs.

use crate::Settings;
use crate::case::{Arrangement, Case};
use crate::check::{Verdict, guarded, lacks, missing};
use crate::compare::{accepts, ulp};
use crate::gradient::Smooth;
use osnova_autodiff::{jvp, vjp};
use osnova_reference::ReferenceDevice;
use osnova_tensor::random::{Distribution, fill_f64};
use osnova_tensor::{DType, Device, Generator, HostData, Op, Real, Result, Shape, Tensor, Unary};

/// The gradients of the case's first output by all its float inputs, and its change along a direction: each element within one unit in the last
/// place of the half type, and what `f32` may lose where terms cancel.
pub(crate) fn check(device: Device, settings: &Settings, case: &Case) -> Verdict {
    // What a derivative is made of may need a dtype that the device lacks, truth values above all.
    compared(device, settings, case).or_else(|problem| if lacks(device, &problem) { Ok(()) } else { Err(problem) })
}

fn compared(device: Device, settings: &Settings, case: &Case) -> Verdict {
    if missing(device, case).is_some() {
        return Ok(());
    }
    // Adding up what a view repeats is another operation, and rounds anew.
    let case = &apart(case);
    let widen = |base: Tensor| if base.dtype().is_float() { base.to_dtype(DType::F64) } else { Ok(base) };
    let exact = Smooth::of(Device::reference(), case, widen)?;
    // Where the exact value is none, there is nothing to differentiate.
    if exact.variables.is_empty() || exact.value.iter().any(|value| !value.is_finite()) {
        return Ok(());
    }
    let rounded = Smooth::of(device, case, Ok)?;
    let refused = |error| format!("it was refused: {error}");
    let pairs = guarded(|| derivatives(case, &rounded, &exact))?.map_err(refused)?;
    let cancels = cancels(&case.op);
    pairs.iter().try_for_each(|pair| pair.near(cancels, settings.tolerance))
}

/// The case with a number of its own for each element.
fn apart(case: &Case) -> Case {
    let mut case = case.clone();
    for input in &mut case.inputs {
        if matches!(input.arrangement, Arrangement::Expanded(_)) {
            input.arrangement = Arrangement::Contiguous;
        }
    }
    case
}

/// Whether derivatives are differences of numbers as large as what comes in: `y·(g − Σ g·y)`, `1 − y²`.
fn cancels(op: &Op) -> bool {
    let shifted = matches!(op, Op::Softmax { .. } | Op::LogSoftmax { .. } | Op::LogSumExp { .. });
    let loss = matches!(op, Op::CrossEntropy(_) | Op::BinaryCrossEntropy(_));
    let activated = matches!(op, Op::Activate(_) | Op::ActivationGradient(_) | Op::Linear { .. });
    shifted || loss || activated || matches!(op, Op::Unary(Unary::Tanh | Unary::Sigmoid))
}

/// A derivative on the device and in f64.
struct Pair {
    what: String,
    actual: HostData,
    exact: HostData,
    /// The largest of the numbers that it is made of, gradients or tangents.
    given: f64,
}

/// Each derivative. Inputs that were repeated to the output's shape are left out: the sum over what was repeated is an operation of its own.
fn derivatives(case: &Case, rounded: &Smooth, exact: &Smooth) -> Result<Vec<Pair>> {
    let value = rounded.at(&rounded.variables)?;
    if !value.dtype().is_float() {
        return Ok(Vec::new());
    }
    let random = Generator::new(1);
    let mut pairs = Vec::new();

    let (g, exact_g) = twins(value.shape(), value.dtype(), value.device(), &random)?;
    let exact_g = exact_g.to_dtype(exact.at(&exact.variables)?.dtype())?;
    let pulled = vjp(|x| rounded.at(x), &rounded.variables, &g)?.1;
    let exact_pulled = vjp(|x| exact.at(x), &exact.variables, &exact_g)?.1;
    let floats: Vec<_> = case.inputs.iter().filter(|input| input.dtype.is_float()).collect();
    let given = largest(&exact_g.to_host()?.to_f64());
    for (index, (actual, exact)) in pulled.iter().zip(&exact_pulled).enumerate() {
        let repeated = matches!(case.op, Op::Binary(_) | Op::Where) && floats[index].shape != *value.shape();
        if !repeated {
            let what = format!("the gradient of float input {index}");
            pairs.push(Pair { what, actual: actual.to_host()?, exact: exact.to_host()?, given });
        }
    }

    let twin = |x: &Tensor| twins(x.shape(), x.dtype(), x.device(), &random);
    let (u, exact_u): (Vec<_>, Vec<_>) =
        rounded.variables.iter().map(twin).collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let pushed = jvp(|x| rounded.at(x), &rounded.variables, &u)?.1;
    let exact_pushed = jvp(|x| exact.at(x), &exact.variables, &exact_u)?.1;
    let sizes = exact_u.iter().map(|u| Ok(largest(&u.to_host()?.to_f64()))).collect::<Result<Vec<_>>>()?;
    let (actual, exact) = (pushed.to_host()?, exact_pushed.to_host()?);
    pairs.push(Pair { what: "the tangent".into(), actual, exact, given: largest(&sizes) });
    Ok(pairs)
}

/// Normally distributed numbers rounded to `dtype`, on the device and, in f64, on the oracle.
fn twins(shape: &Shape, dtype: DType, device: Device, random: &Generator) -> Result<(Tensor, Tensor)> {
    let distribution = Distribution::Normal { mean: Real::new(0.0), standard_deviation: Real::new(1.0) };
    let mut values = vec![0.0; shape.count()];
    fill_f64(distribution, random.take(distribution.blocks(values.len(), DType::F64)), 0, &mut values);
    let rounded = HostData::from_f64(dtype, &values);
    let exact = Tensor::from_vec(rounded.to_f64(), *shape, Device::reference())?;
    Ok((Tensor::from_host(rounded, *shape, device)?, exact))
}

/// The largest finite magnitude, 0 of nothing.
fn largest(values: &[f64]) -> f64 {
    values.iter().map(|value| value.abs()).filter(|value| value.is_finite()).fold(0.0, f64::max)
}

impl Pair {
    fn near(&self, cancels: bool, tolerance: f64) -> Verdict {
        let dtype = self.actual.dtype();
        let (actual, exact) = (self.actual.to_f64(), self.exact.to_f64());
        let wide = dtype.accumulator().epsilon();
        let cancelled = 64.0 * wide * largest(&exact) + if cancels { 4.0 * wide * self.given } else { 0.0 };
        for (element, (&actual, &exact)) in actual.iter().zip(&exact).enumerate() {
            let bound = (ulp(exact, dtype) + cancelled) * tolerance;
            if !accepts(actual, exact, bound, dtype) {
                let what = &self.what;
                return Err(format!(
                    "{what} is wrong: element {element} is {actual:e} instead of {exact:e} (± {bound:e})"
                ));
            }
        }
        Ok(())
    }
}
