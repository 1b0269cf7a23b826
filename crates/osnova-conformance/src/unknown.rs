//! Operations that a device cannot know: refused, and never taken for something else.

use crate::bad_input::refused;
use crate::case::{Arrangement, Case, Input};
use crate::catalogue::Subject;
use crate::check::{Verdict, guarded};
use crate::values::Values;
use crate::{Family, Settings};
use osnova_tensor::infer::infer;
use osnova_tensor::{Activation, Binary, DType, Device, Inputs, Op, Optimize, Result, Shape, Unary};
use proptest::prelude::*;
use proptest::sample::select;

/// The hidden member of each kind that grows, on each dtype; nothing on a device without dtypes.
pub(crate) fn operations(dtypes: &[DType]) -> Option<Subject> {
    let mut cases = Vec::new();
    for &dtype in dtypes {
        let case = |op: Op, shapes: &[&[usize]]| Case { op, inputs: inputs(dtype, shapes) };
        cases.push(case(Op::Unary(Unary::Unknown), &[&[2, 3]]));
        cases.push(case(Op::Binary(Binary::Unknown), &[&[2, 3], &[3]]));
        if dtype.is_float() {
            let activation = Activation::Unknown;
            cases.push(case(Op::Activate(activation), &[&[2, 3]]));
            cases.push(case(Op::ActivationGradient(activation), &[&[2, 3], &[2, 3]]));
            cases.push(case(Op::Linear { bias: false, activation }, &[&[2, 3], &[4, 3]]));
            cases.push(case(Op::Linear { bias: true, activation }, &[&[2, 3], &[4, 3], &[4]]));
        }
        // The scalars of an update are f32 or f64.
        if matches!(dtype, DType::F32 | DType::F64) {
            cases.push(case(Op::Optimize(Optimize::Unknown), &[&[1], &[2, 3], &[2, 3]]));
        }
    }
    (!cases.is_empty()).then(|| Subject {
        name: "unknown operations".into(),
        family: Family::BadInput,
        cases: select(cases).boxed(),
        check,
        cost: 8,
    })
}

fn inputs(dtype: DType, shapes: &[&[usize]]) -> Vec<Input> {
    let input = |(seed, dims): (u64, &&[usize])| Input {
        shape: Shape::new(dims).unwrap_or_default(),
        dtype,
        arrangement: Arrangement::Contiguous,
        values: Values::Between(0.5, 3.0),
        seed,
    };
    (0..).zip(shapes).map(input).collect()
}

/// It is refused; and a backend neither claims a composite of which it does not know a part, nor runs it unasked.
fn check(device: Device, _: &Settings, case: &Case) -> Verdict {
    refused(device, case)?;
    if device.backend().as_wrapper().is_some() {
        // It passes on what it does not know.
        return Ok(());
    }
    let place = || case.inputs.iter().map(|input| Ok(input.place(device)?.tensor)).collect::<Result<Inputs>>();
    let inputs = guarded(place)?.map_err(|error| format!("an input could not be made: {error}"))?;
    if case.op.is_composite() && device.backend().claims(&case.op, &inputs) {
        return Err("it was claimed".into());
    }
    let metas = infer(&case.op, &case.metas()).map_err(|error| format!("inference refused it: {error}"))?;
    let run = || {
        let outputs = device.backend().execute(device, &case.op, inputs, &metas)?;
        outputs.iter().map(|output| output.to_host().map(drop)).collect::<Result<Vec<()>>>()
    };
    match guarded(run)? {
        Ok(_) => Err("the backend ran it, as something else".into()),
        Err(_) => Ok(()),
    }
}
