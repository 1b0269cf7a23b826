//! Gradients against central differences.

use crate::Settings;
use crate::case::Case;
use crate::check::{Verdict, guarded};
use osnova_autodiff::{GradcheckError, gradcheck, gradgradcheck};
use osnova_tensor::{Device, Result, Tensor};

/// First and second derivatives of the case's first output by all its f64 inputs, through the views that lay them out.
pub(crate) fn check(device: Device, settings: &Settings, case: &Case) -> Verdict {
    let place = || case.inputs.iter().map(|input| Ok(input.place(device)?.base)).collect::<Result<Vec<_>>>();
    let bases = guarded(place)?.map_err(|error| format!("an input could not be made: {error}"))?;
    let float = |index: &usize| case.inputs[*index].dtype.is_float();
    let variables: Vec<Tensor> = (0..bases.len()).filter(float).map(|index| bases[index].clone()).collect();
    let function = |variables: &[Tensor]| {
        let mut variables = variables.iter();
        let mut inputs = Vec::new();
        for (input, base) in case.inputs.iter().zip(&bases) {
            let base = if input.dtype.is_float() { variables.next().unwrap_or(base) } else { base };
            inputs.push(match input.view() {
                Some(view) => Tensor::apply(&view, [base.clone()])?.remove(0),
                None => base.clone(),
            });
        }
        Ok(Tensor::apply(&case.op, inputs)?.remove(0))
    };

    // A variance of one sample, a mean of nothing: no derivative to speak of.
    let value = guarded(|| function(&variables)?.to_host())?.map_err(|error| format!("it was refused: {error}"))?;
    if variables.is_empty() || value.to_f64().iter().any(|value| !value.is_finite()) {
        return Ok(());
    }
    let gradcheck_settings = osnova_autodiff::Settings::default().directions(2).elements(3);
    let gradcheck_settings = gradcheck_settings.tolerance(gradcheck_settings.tolerance * settings.tolerance);
    let verdict = |order: &str, run: &dyn Fn() -> std::result::Result<(), GradcheckError>| {
        let checked = guarded(|| Ok(run()))?.map_err(|error| error.to_string())?;
        checked.map_err(|error| format!("the {order} derivative is wrong: {error}"))
    };
    verdict("first", &|| gradcheck(function, &variables, gradcheck_settings))?;
    // A second difference has fewer digits to lose.
    let second = gradcheck_settings.absolute(1e-7);
    verdict("second", &|| gradgradcheck(function, &variables, second))
}
