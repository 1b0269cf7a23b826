//! The check of one case: right results, untouched inputs, the same bits again.

use crate::Settings;
use crate::case::{Case, Placed};
use crate::compare::{accepts, first_difference, ulp};
use crate::tolerance::{self, Bound};
use osnova_reference::ReferenceDevice;
use osnova_tensor::infer::infer;
use osnova_tensor::{DType, Device, HostData, Inputs, Meta, Op, Outputs, Result, Tensor};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a check finds: nothing, or what is wrong.
pub(crate) type Verdict = std::result::Result<(), String>;

/// Runs an operation so that a panic is reported with the case that made it.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T>) -> std::result::Result<Result<T>, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| format!("it panicked: {}", message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn apply(device: Device, op: &Op, inputs: Inputs) -> std::result::Result<Outputs, String> {
    guarded(|| device.apply(op, inputs))?.map_err(|error| format!("it was refused: {error}"))
}

fn place(device: Device, case: &Case) -> std::result::Result<Vec<Placed>, String> {
    let place = || case.inputs.iter().map(|input| input.place(device)).collect::<Result<Vec<_>>>();
    guarded(place)?.map_err(|error| format!("an input could not be made: {error}"))
}

pub(crate) fn download(tensor: &Tensor) -> std::result::Result<HostData, String> {
    guarded(|| tensor.to_host())?.map_err(|error| format!("the values could not be read: {error}"))
}

/// The first dtype among a case's inputs and outputs that the device does not have: an index, a condition, a comparison's result.
pub(crate) fn missing(device: Device, case: &Case) -> Option<DType> {
    let supported = device.capabilities().dtypes;
    let inputs = case.metas();
    let outputs = infer(&case.op, &inputs).unwrap_or_default();
    inputs.iter().chain(&outputs).map(|meta| meta.dtype).find(|&dtype| !supported.contains(dtype))
}

/// Whether a problem is that something needs a dtype which the device does not have.
pub(crate) fn lacks(device: Device, problem: &str) -> bool {
    let supported = device.capabilities().dtypes;
    let lacks = |dtype: &DType| !supported.contains(*dtype) && problem.contains(&format!("needs {dtype}, which"));
    DType::ALL.iter().any(lacks)
}

/// What needs a dtype that the device lacks is refused, and the error says so.
fn refused_for_want_of(device: Device, case: &Case, dtype: DType) -> Verdict {
    let run = || {
        let inputs = case.inputs.iter().map(|input| Ok(input.place(device)?.tensor)).collect::<Result<Inputs>>()?;
        device.apply(&case.op, inputs).map(drop)
    };
    match guarded(run)? {
        Ok(()) => Err(format!("it needs {dtype}, which is not among the capabilities, and was not refused")),
        Err(error) if error.to_string().contains(dtype.name()) => Ok(()),
        Err(error) => Err(format!("the refusal does not name {dtype}, which the device lacks: {error}")),
    }
}

/// The case on the device against the oracle.
pub(crate) fn against_oracle(device: Device, settings: &Settings, case: &Case) -> Verdict {
    if let Some(dtype) = missing(device, case) {
        return refused_for_want_of(device, case, dtype);
    }
    let logical = case.inputs.iter().map(|input| input.logical()).collect::<Result<Vec<_>>>();
    let logical = logical.map_err(|error| error.to_string())?;
    let metas = infer(&case.op, &case.metas()).map_err(|error| format!("inference refused it: {error}"))?;

    // The inputs arrive, in every layout.
    let placed = place(device, case)?;
    for (index, (input, expected)) in placed.iter().zip(&logical).enumerate() {
        if let Some(difference) = first_difference(&download(&input.tensor)?, expected) {
            return Err(format!("input {index} does not read back: {difference}"));
        }
    }

    // The results are right.
    let outputs = match apply(device, &case.op, placed.iter().map(|input| input.tensor.clone()).collect()) {
        // A step of a decomposition may need a dtype that the device does not have.
        Err(problem) if case.op.is_composite() && lacks(device, &problem) => return untouched(case, &placed),
        outputs => outputs?,
    };
    let values = read(device, &outputs, &metas)?;
    right(case, &logical, &values, settings)?;
    untouched(case, &placed)?;

    // Handing over the last handles lets a kernel write in place: the results must be the same to the bit, and neither the
    // tensors that inputs are views of nor the first results may change.
    let mut bases = Vec::new();
    let mut inputs = Inputs::new();
    for Placed { base, tensor } in place(device, case)? {
        if !base.same(&tensor) {
            bases.push(base);
        }
        inputs.push(tensor);
    }
    let again = apply(device, &case.op, inputs)?;
    same("a second run, on last handles,", &read(device, &again, &metas)?, &values)?;
    let viewed = case.inputs.iter().filter(|input| input.view().is_some());
    for (base, input) in bases.iter().zip(viewed) {
        let (expected, _) = input.base().map_err(|error| error.to_string())?;
        if let Some(difference) = first_difference(&download(base)?, &expected) {
            return Err(format!("it wrote into a tensor that an input was a view of: {difference}"));
        }
    }
    drop(again);
    same("reading the first result later", &read(device, &outputs, &metas)?, &values)?;
    aliased(device, case, &metas)
}

/// One tensor as the first two inputs gives what two equal tensors give.
fn aliased(device: Device, case: &Case, metas: &[Meta]) -> Verdict {
    let [first, second, ..] = &case.inputs[..] else { return Ok(()) };
    // Where the values differ in kind (an index beside data) one tensor cannot be both.
    if first.meta() != second.meta() || first.values != second.values {
        return Ok(());
    }
    let mut twin = case.clone();
    twin.inputs[1] = first.clone();
    let apart: Inputs = place(device, &twin)?.into_iter().map(|input| input.tensor).collect();
    let mut together = apart.clone();
    together[1] = together[0].clone();
    let apart = read(device, &apply(device, &case.op, apart)?, metas)?;
    let together = read(device, &apply(device, &case.op, together)?, metas)?;
    same("one tensor as the first two inputs", &together, &apart)
}

/// The inputs, and the tensors that they are views of, hold what they held.
fn untouched(case: &Case, placed: &[Placed]) -> Verdict {
    for (index, (input, placed)) in case.inputs.iter().zip(placed).enumerate() {
        let (expected, _) = input.base().map_err(|error| error.to_string())?;
        if let Some(difference) = first_difference(&download(&placed.base)?, &expected) {
            return Err(format!("input {index} changed although another handle was alive: {difference}"));
        }
    }
    Ok(())
}

/// The outputs' values, after a check that they are what inference promised.
fn read(device: Device, outputs: &[Tensor], metas: &[Meta]) -> std::result::Result<Vec<HostData>, String> {
    let promised: Vec<Meta> = outputs.iter().map(|output| Meta::new(*output.shape(), output.dtype())).collect();
    if promised != metas {
        return Err(format!("the outputs are {promised:?}, inference promised {metas:?}"));
    }
    if let Some(stray) = outputs.iter().find(|output| !device.contains(output.device())) {
        return Err(format!("an output lives on {}", stray.device()));
    }
    let values = outputs.iter().map(download).collect::<std::result::Result<Vec<_>, _>>()?;
    for (values, meta) in values.iter().zip(metas) {
        if values.dtype() != meta.dtype || values.len() != meta.shape.count() {
            let (count, dtype) = (values.len(), values.dtype());
            return Err(format!("reading {meta:?} gave {count} values of {dtype}"));
        }
    }
    Ok(values)
}

fn same(what: &str, actual: &[HostData], expected: &[HostData]) -> Verdict {
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        if let Some(difference) = first_difference(actual, expected) {
            return Err(format!("{what} gave other bits in output {index}: {difference}"));
        }
    }
    Ok(())
}

/// The results on the oracle, with the bound of each.
fn expected(case: &Case, logical: &[HostData], settings: &Settings) -> Result<(Vec<Tensor>, Vec<Bound>)> {
    let device = Device::reference();
    let own = tolerance::runs_in_own_dtype(&case.op);
    let place = |(data, input): (&HostData, &crate::case::Input)| {
        let tensor = Tensor::from_host(data.clone(), input.shape, device)?;
        if own || !input.dtype.is_float() { Ok(tensor) } else { tensor.to_dtype(DType::F64) }
    };
    let inputs = logical.iter().zip(&case.inputs).map(place).collect::<Result<Vec<_>>>()?;
    let outputs = device.apply(&case.op, inputs.iter().cloned().collect())?.into_vec();
    // An optimizer's scalars have a dtype of their own: the last input tells how the numbers are held.
    let dtype = case.inputs.iter().rev().map(|input| input.dtype).find(|dtype| dtype.is_float()).unwrap_or(DType::F32);
    let bounds = tolerance::bounds(&case.op, &inputs, &outputs, dtype, settings.tolerance)?;
    Ok((outputs, bounds))
}

fn right(case: &Case, logical: &[HostData], actual: &[HostData], settings: &Settings) -> Verdict {
    let (outputs, bounds) =
        expected(case, logical, settings).map_err(|error| format!("the oracle refused it: {error}"))?;
    for (index, ((actual, output), bound)) in actual.iter().zip(&outputs).zip(&bounds).enumerate() {
        let fail = |problem: String| Err(format!("output {index} is wrong: {problem}"));
        let exact = download(output)?;
        let dtype = actual.dtype();
        if !dtype.is_float() || matches!(bound, Bound::Bits) {
            if let Some(difference) = first_difference(actual, &exact) {
                return fail(difference);
            }
            continue;
        }
        let (actual, exact) = (actual.to_f64(), exact.to_f64());
        let distances = match bound {
            Bound::Bits => vec![0.0],
            Bound::Ulps(count) => exact.iter().map(|&value| count * ulp(value, dtype.accumulator())).collect(),
            Bound::Absolute(distance) => {
                let spread =
                    distance.expand(output.shape()).map_err(|error| format!("a bound does not fit: {error}"))?;
                download(&spread)?.to_f64()
            }
        };
        for (element, ((&actual, &exact), &distance)) in actual.iter().zip(&exact).zip(&distances).enumerate() {
            if !accepts(actual, exact, distance, dtype) {
                return fail(format!("element {element} is {actual:e} instead of {exact:e} (± {distance:e})"));
            }
        }
    }
    Ok(())
}
