//! Gradients against central differences, and forward mode against both.

use crate::Settings;
use crate::case::Case;
use crate::check::{Verdict, guarded, lacks};
use osnova_autodiff::{GradcheckError, gradcheck, gradgradcheck, jvp, vjp};
use osnova_tensor::random::{Distribution, fill_f64};
use osnova_tensor::{DType, Device, Generator, Real, Result, Tensor};

/// The case's first output as a function of all its float inputs, through the views that lay them out.
pub(crate) struct Smooth<'a> {
    case: &'a Case,
    bases: Vec<Tensor>,
    /// The float inputs.
    pub(crate) variables: Vec<Tensor>,
    pub(crate) value: Vec<f64>,
}

impl<'a> Smooth<'a> {
    /// `None` where there is nothing to differentiate, or no derivative to speak of: a variance of one sample, a mean of nothing.
    pub(crate) fn new(device: Device, case: &'a Case) -> std::result::Result<Option<Self>, String> {
        let smooth = Self::of(device, case, Ok)?;
        let sensible = !smooth.variables.is_empty() && smooth.value.iter().all(|value| value.is_finite());
        Ok(sensible.then_some(smooth))
    }

    /// The function at the inputs that `convert` makes of the case's.
    pub(crate) fn of(
        device: Device,
        case: &'a Case,
        convert: impl Fn(Tensor) -> Result<Tensor>,
    ) -> std::result::Result<Self, String> {
        let place = || case.inputs.iter().map(|input| convert(input.place(device)?.base)).collect::<Result<Vec<_>>>();
        let bases = guarded(place)?.map_err(|error| format!("an input could not be made: {error}"))?;
        let float = |index: &usize| case.inputs[*index].dtype.is_float();
        let variables: Vec<Tensor> = (0..bases.len()).filter(float).map(|index| bases[index].clone()).collect();
        let mut smooth = Self { case, bases, variables, value: Vec::new() };
        let value = guarded(|| smooth.at(&smooth.variables)?.to_host())?;
        smooth.value = value.map_err(|error| format!("it was refused: {error}"))?.to_f64();
        Ok(smooth)
    }

    pub(crate) fn at(&self, variables: &[Tensor]) -> Result<Tensor> {
        let mut variables = variables.iter();
        let mut inputs = Vec::new();
        for (input, base) in self.case.inputs.iter().zip(&self.bases) {
            let base = if input.dtype.is_float() { variables.next().unwrap_or(base) } else { base };
            inputs.push(match input.view() {
                Some(view) => Tensor::apply(&view, [base.clone()])?.remove(0),
                None => base.clone(),
            });
        }
        Ok(Tensor::apply(&self.case.op, inputs)?.remove(0))
    }
}

/// First and second derivatives of the case's first output by all its f64 inputs, in reverse mode.
pub(crate) fn check(device: Device, settings: &Settings, case: &Case) -> Verdict {
    unless_lacking(device, reverse(device, settings, case))
}

/// What a derivative is made of may need a dtype that the device lacks: truth values, above all.
fn unless_lacking(device: Device, verdict: Verdict) -> Verdict {
    verdict.or_else(|problem| if lacks(device, &problem) { Ok(()) } else { Err(problem) })
}

fn reverse(device: Device, settings: &Settings, case: &Case) -> Verdict {
    let Some(smooth) = Smooth::new(device, case)? else { return Ok(()) };
    let function = |variables: &[Tensor]| smooth.at(variables);
    let gradcheck_settings = osnova_autodiff::Settings::default().directions(2).elements(3);
    let gradcheck_settings = gradcheck_settings.tolerance(gradcheck_settings.tolerance * settings.tolerance);
    let verdict = |order: &str, run: &dyn Fn() -> std::result::Result<(), GradcheckError>| {
        let checked = guarded(|| Ok(run()))?.map_err(|error| error.to_string())?;
        checked.map_err(|error| format!("the {order} derivative is wrong: {error}"))
    };
    verdict("first", &|| gradcheck(function, &smooth.variables, gradcheck_settings))?;
    // A second difference has fewer digits to lose.
    let second = gradcheck_settings.absolute(1e-7);
    verdict("second", &|| gradgradcheck(function, &smooth.variables, second))
}

/// Forward mode: J·u against central differences and, by ⟨v, J·u⟩ = ⟨Jᵀ·v, u⟩, against reverse mode; and the second derivatives of ⟨v, f⟩ by
/// every order of both modes against each other.
pub(crate) fn check_forward(device: Device, settings: &Settings, case: &Case) -> Verdict {
    unless_lacking(device, forward(device, settings, case))
}

fn forward(device: Device, settings: &Settings, case: &Case) -> Verdict {
    let Some(smooth) = Smooth::new(device, case)? else { return Ok(()) };
    let refused = |error| format!("it was refused: {error}");
    guarded(|| first_order(&smooth, settings))?.map_err(refused)??;
    guarded(|| second_order(&smooth, settings))?.map_err(refused)?
}

/// A direction for each input, u, and one for the output, v.
fn directions(smooth: &Smooth) -> Result<(Vec<Tensor>, Tensor)> {
    let random = Generator::new(1);
    let u = smooth.variables.iter().map(|x| normal(x, &random)).collect::<Result<_>>()?;
    Ok((u, normal(&smooth.at(&smooth.variables)?, &random)?))
}

fn first_order(smooth: &Smooth, settings: &Settings) -> Result<Verdict> {
    let function = |variables: &[Tensor]| smooth.at(variables);
    let x = &smooth.variables;
    let (u, v) = directions(smooth)?;
    let along = [jvp(function, x, &u)?.1];
    let pulled = vjp(function, x, &v)?.1;
    let (forward, reverse) = (products(&[v], &along)?, products(&pulled, &u)?);
    let agreed = same_sum("⟨v, J·u⟩ and ⟨Jᵀ·v, u⟩", &forward, &reverse, 1e-10 * settings.tolerance);
    if agreed.is_err() {
        return Ok(agreed);
    }
    // Elements move by about 1e-5, or by that share of their size if it is larger.
    let size = values(x)?.iter().fold(1.0, |size: f64, value| size.max(value.abs()));
    let step = 1e-5 * size / values(&u)?.iter().fold(1.0, |most: f64, value| most.max(value.abs()));
    let moved = |by: f64| {
        let moved = x.iter().zip(&u).map(|(x, u)| x + u * by).collect::<Result<Vec<_>>>()?;
        values(&[function(&moved)?])
    };
    let (above, below) = (moved(step)?, moved(-step)?);
    let numeric: Vec<f64> = above.iter().zip(&below).map(|(above, below)| (above - below) / (2.0 * step)).collect();
    let exact = values(&along)?;
    let size = smooth.value.iter().chain(&exact).fold(1.0, |size: f64, value| size.max(value.abs()));
    Ok(same("J·u by forward mode and by differences", &exact, &numeric, 1e-6 * size * settings.tolerance))
}

fn second_order(smooth: &Smooth, settings: &Settings) -> Result<Verdict> {
    let function = |variables: &[Tensor]| smooth.at(variables);
    let x = &smooth.variables;
    let (u, v) = directions(smooth)?;
    let gradient = |variables: &[Tensor]| flat(&vjp(function, variables, &v)?.1);
    let change = |variables: &[Tensor]| Ok(jvp(function, variables, &u)?.1);

    let expected = values(&vjp(gradient, x, &flat(&u)?)?.1)?;
    let others = [
        ("H·u by forward over reverse and by reverse over reverse", values(&[jvp(gradient, x, &u)?.1])?),
        ("H·u by reverse over forward and by reverse over reverse", values(&vjp(change, x, &v)?.1)?),
    ];
    let size = expected.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
    for (what, found) in &others {
        let agreed = same(what, found, &expected, 1e-9 * size * settings.tolerance + 1e-12);
        if agreed.is_err() {
            return Ok(agreed);
        }
    }
    let twice = products(&[v], &[jvp(change, x, &u)?.1])?;
    let expected: Vec<f64> = expected.iter().zip(values(&u)?).map(|(product, u)| product * u).collect();
    let what = "uᵀ·H·u by forward over forward and by reverse over reverse";
    Ok(same_sum(what, &twice, &expected, 1e-9 * settings.tolerance))
}

/// Every element agrees to `allowed`. NaN does not.
fn same(what: &str, left: &[f64], right: &[f64], allowed: f64) -> Verdict {
    let near = |(left, right): (&f64, &f64)| (left - right).abs() <= allowed;
    match left.iter().zip(right).position(|pair| !near(pair)) {
        None => Ok(()),
        Some(at) => Err(format!("{what} differ at element {at}: {:e} and {:e}", left[at], right[at])),
    }
}

/// Two sums of products agree to `tolerance` of their largest terms.
fn same_sum(what: &str, left: &[f64], right: &[f64], tolerance: f64) -> Verdict {
    let size = left.iter().chain(right).map(|term| term.abs()).sum::<f64>();
    let (left, right) = (left.iter().sum::<f64>(), right.iter().sum::<f64>());
    if (left - right).abs() <= tolerance * size + 1e-12 {
        return Ok(());
    }
    Err(format!("{what} differ: {left:e} and {right:e}"))
}

fn products(left: &[Tensor], right: &[Tensor]) -> Result<Vec<f64>> {
    Ok(values(left)?.iter().zip(values(right)?).map(|(left, right)| left * right).collect())
}

fn values(tensors: &[Tensor]) -> Result<Vec<f64>> {
    let values = tensors.iter().map(|tensor| Ok(tensor.to_host()?.to_f64())).collect::<Result<Vec<_>>>()?;
    Ok(values.concat())
}

pub(crate) fn flat(tensors: &[Tensor]) -> Result<Tensor> {
    let flat = tensors.iter().map(|tensor| tensor.reshape([tensor.count()])).collect::<Result<Vec<_>>>()?;
    Tensor::concat(&flat, 0)
}

/// Normally distributed numbers of a tensor's shape beside it, made on the host so that no backend's own are needed.
fn normal(like: &Tensor, random: &Generator) -> Result<Tensor> {
    let distribution = Distribution::Normal { mean: Real::new(0.0), standard_deviation: Real::new(1.0) };
    let mut values = vec![0.0; like.count()];
    fill_f64(distribution, random.take(distribution.blocks(values.len(), DType::F64)), 0, &mut values);
    Tensor::from_vec(values, like.shape(), like.device())?.to_dtype(like.dtype())
}
