//! Derivatives in f32, for devices without f64: against the oracle's in f64 at the same inputs. Those are checked against differences
//! wherever the kit runs on a device with f64, the oracle's own tests among them.

use crate::Settings;
use crate::case::Case;
use crate::check::{Verdict, guarded, lacks};
use crate::gradient::{Smooth, flat};
use osnova_autodiff::{jvp, vjp};
use osnova_reference::ReferenceDevice;
use osnova_tensor::random::{Distribution, fill_f64};
use osnova_tensor::{DType, Device, Generator, HostData, Real, Result, Tensor};

/// How far a derivative may be off, as a share of the largest element: what several steps in f32 lose, some of which cancel.
const TOLERANCE: f64 = 1e-4;

/// Numbers beyond this, in a result or a derivative, are left out: a step on the way may overflow f32.
const LARGEST: f64 = 1e25;

/// What is compared: its name and its values.
type Derivatives = Vec<(&'static str, Tensor)>;

/// First and second derivatives in reverse mode.
pub(crate) fn check(device: Device, settings: &Settings, case: &Case) -> Verdict {
    against_oracle(device, settings, case, |smooth, u, v| {
        let gradient = |variables: &[Tensor]| flat(&vjp(|x| smooth.at(x), variables, v)?.1);
        let first = gradient(&smooth.variables)?;
        let second = flat(&vjp(gradient, &smooth.variables, &flat(u)?)?.1)?;
        Ok(vec![("Jᵀ·v", first), ("H·u by reverse over reverse", second)])
    })
}

/// The change along a direction, and second derivatives by both modes over each other.
pub(crate) fn check_forward(device: Device, settings: &Settings, case: &Case) -> Verdict {
    against_oracle(device, settings, case, |smooth, u, v| {
        let x = &smooth.variables;
        let gradient = |variables: &[Tensor]| flat(&vjp(|x| smooth.at(x), variables, v)?.1);
        let change = |variables: &[Tensor]| Ok(jvp(|x| smooth.at(x), variables, u)?.1);
        Ok(vec![
            ("J·u", change(x)?),
            ("H·u by forward over reverse", jvp(gradient, x, u)?.1),
            ("H·u by reverse over forward", flat(&vjp(change, x, v)?.1)?),
            ("the second change along u", jvp(change, x, u)?.1),
        ])
    })
}

/// The derivatives along the same directions, u of the inputs and v of the output, on the device and in f64 on the oracle.
fn against_oracle(
    device: Device,
    settings: &Settings,
    case: &Case,
    derive: fn(&Smooth, &[Tensor], &Tensor) -> Result<Derivatives>,
) -> Verdict {
    let widen = |base: Tensor| if base.dtype().is_float() { base.to_dtype(DType::F64) } else { Ok(base) };
    let exact = Smooth::of(Device::reference(), case, widen)?;
    let sensible = |values: &[f64]| values.iter().all(|value| value.abs() <= LARGEST);
    if exact.variables.is_empty() || !sensible(&exact.value) {
        return Ok(());
    }
    let expected = guarded(|| along(&exact, derive))?.map_err(|error| format!("the oracle refused it: {error}"))?;
    if !expected.iter().all(|(_, values)| sensible(values)) {
        return Ok(());
    }
    let run = || Smooth::of(device, case, Ok).map(|smooth| guarded(|| along(&smooth, derive)));
    let actual = match run() {
        // What the derivative is made of may need a dtype that the device lacks, truth values above all.
        Err(problem) if lacks(device, &problem) => return Ok(()),
        Ok(Ok(Err(error))) if lacks(device, &error.to_string()) => return Ok(()),
        outcome => outcome??.map_err(|error| format!("it was refused: {error}"))?,
    };
    for ((what, actual), (_, expected)) in actual.iter().zip(&expected) {
        near(what, actual, expected, TOLERANCE * settings.tolerance)?;
    }
    Ok(())
}

fn along(
    smooth: &Smooth,
    derive: fn(&Smooth, &[Tensor], &Tensor) -> Result<Derivatives>,
) -> Result<Vec<(&'static str, Vec<f64>)>> {
    let random = Generator::new(1);
    let u = smooth.variables.iter().map(|x| direction(x, &random)).collect::<Result<Vec<_>>>()?;
    let v = direction(&smooth.at(&smooth.variables)?, &random)?;
    derive(smooth, &u, &v)?.into_iter().map(|(what, tensor)| Ok((what, tensor.to_host()?.to_f64()))).collect()
}

/// Normally distributed numbers of f32 beside a tensor, in its dtype: the same on every device.
fn direction(like: &Tensor, random: &Generator) -> Result<Tensor> {
    let distribution = Distribution::Normal { mean: Real::new(0.0), standard_deviation: Real::new(1.0) };
    let mut values = vec![0.0; like.count()];
    fill_f64(distribution, random.take(distribution.blocks(values.len(), DType::F64)), 0, &mut values);
    let single = HostData::from_f64(DType::F32, &values).to_f64();
    Tensor::from_host(HostData::from_f64(like.dtype(), &single), like.shape(), like.device())
}

/// Each element within a share of the largest one, or of a tenth where all are small.
fn near(what: &str, actual: &[f64], expected: &[f64], tolerance: f64) -> Verdict {
    let bound = tolerance * expected.iter().fold(0.1, |most: f64, value| most.max(value.abs()));
    let close = |(actual, expected): (&f64, &f64)| (actual - expected).abs() <= bound;
    match actual.iter().zip(expected).position(|pair| !close(pair)) {
        None => Ok(()),
        Some(at) => Err(format!(
            "{what} is wrong: element {at} is {:e} instead of {:e} (± {bound:e})",
            actual[at], expected[at]
        )),
    }
}
