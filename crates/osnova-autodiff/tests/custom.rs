//! Operations from another crate: with a derivative of their own, and without.

mod common;

use common::{close, constant, leaf, recording};
use osnova_autodiff::{Settings, gradcheck, gradgradcheck};
use osnova_tensor::{Custom, CustomOp, Error, Inputs, Meta, Metas, Outputs, Result, Tensor};
use smallvec::smallvec;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// (x·y, x + y), with how often its derivative was asked for.
#[derive(Debug)]
struct Pair {
    own_derivative: bool,
    calls: Arc<AtomicUsize>,
    wrong: bool,
}

impl CustomOp for Pair {
    fn name(&self) -> &'static str {
        "pair"
    }
    fn infer(&self, inputs: &[Meta]) -> Result<Metas> {
        match inputs {
            [x, y] if x == y => Ok(smallvec![*x, *x]),
            _ => Err(Error::argument("pair", "two inputs of one shape are needed", "Give them")),
        }
    }
    fn forward(&self, inputs: Inputs) -> Result<Outputs> {
        Ok(smallvec![(&inputs[0] * &inputs[1])?, (&inputs[0] + &inputs[1])?])
    }
    fn backward(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        gradients: &[Option<Tensor>],
    ) -> Result<Option<Vec<Option<Tensor>>>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        assert_eq!(outputs.len(), 2);
        if self.wrong {
            return Ok(Some(vec![None]));
        }
        let zero = inputs[0].zeros_like()?;
        let [product, sum] = [0, 1].map(|at| gradients[at].as_ref().unwrap_or(&zero));
        Ok(Some(vec![Some(((product * &inputs[1])? + sum)?), Some(((product * &inputs[0])? + sum)?)]))
    }
    fn has_backward(&self) -> bool {
        self.own_derivative
    }
}

fn pair(own_derivative: bool, wrong: bool) -> (Custom, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    (Custom::new(Pair { own_derivative, calls: calls.clone(), wrong }), calls)
}

#[test]
fn a_custom_operation_with_and_without_a_derivative_of_its_own() -> Result<()> {
    for own_derivative in [true, false] {
        let (op, calls) = pair(own_derivative, false);
        let (x, y) = (leaf([2.0, 3.0]), leaf([5.0, 7.0]));
        let outputs = op.apply([x.clone(), y.clone()])?;
        assert_eq!(outputs[0].device(), recording());
        let loss = ((&outputs[0] * 10.0)?.sum(.., false)? + outputs[1].sum(.., false)?)?;
        let gradients = loss.backward()?;
        close(gradients.get(&x).unwrap(), &[51.0, 71.0]);
        close(gradients.get(&y).unwrap(), &[21.0, 31.0]);
        // One output alone; one input alone.
        let x = leaf([2.0, 3.0]);
        let outputs = op.apply([x.clone(), constant([5.0, 7.0])])?;
        close(outputs[1].sum(.., false)?.backward()?.get(&x).unwrap(), &[1.0, 1.0]);
        assert_eq!(calls.load(Ordering::Relaxed), if own_derivative { 2 } else { 0 });

        let inputs = [constant([2.0, 3.0]), constant([5.0, 7.0])];
        let function = |inputs: &[Tensor]| {
            let outputs = op.apply(inputs.iter().cloned())?;
            outputs[0].square()? * &outputs[1]
        };
        gradcheck(function, &inputs, Settings::default()).unwrap();
        gradgradcheck(function, &inputs, Settings::default()).unwrap();
    }
    Ok(())
}

#[test]
fn constants_go_straight_through() -> Result<()> {
    let (op, _) = pair(true, false);
    let x = constant([1.0]).to_device(recording())?;
    let outputs = op.apply([x.clone(), x])?;
    assert!(outputs.iter().all(|output| output.device() == recording() && !output.is_tracked()));
    Ok(())
}

#[test]
fn a_derivative_of_the_wrong_form_is_an_error() -> Result<()> {
    let (op, _) = pair(true, true);
    let x = leaf([1.0]);
    let outputs = op.apply([x.clone(), x])?;
    let error = outputs[0].backward().unwrap_err().to_string();
    assert!(error.contains("pair") && error.contains("one gradient for each input"), "{error}");
    Ok(())
}
