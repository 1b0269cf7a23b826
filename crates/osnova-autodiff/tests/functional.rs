//! Derivatives of functions.

mod common;

use common::{close, constant, leaf, plain, recording};
use osnova_autodiff::{
    GradcheckError, Place, Pullback, Settings, grad, gradcheck, gradgradcheck, hessian, hvp, jacobian, value_and_grad,
    vjp,
};
use osnova_tensor::{Custom, CustomOp, DType, Error, Inputs, Meta, Metas, Outputs, Result, Tensor};
use smallvec::smallvec;

#[test]
fn values_and_gradients_live_on_the_inputs_device() -> Result<()> {
    let (value, gradients) =
        value_and_grad(|x| (x[0].square()? * &x[1])?.sum(.., false), &[constant([1.0, 2.0]), constant([3.0, 4.0])])?;
    assert_eq!(value.device(), plain());
    assert_eq!(gradients[0].device(), plain());
    close(&value, &[19.0]);
    close(&gradients[0], &[6.0, 16.0]);
    close(&gradients[1], &[1.0, 4.0]);
    Ok(())
}

#[test]
fn vectors_times_jacobians() -> Result<()> {
    let x = constant([1.0, 2.0, 3.0]);
    let (value, gradients) = vjp(|x| x[0].square(), std::slice::from_ref(&x), &constant([1.0, 10.0, 100.0]))?;
    close(&value, &[1.0, 4.0, 9.0]);
    close(&gradients[0], &[2.0, 40.0, 600.0]);
    let pullback = Pullback::new(|x| x[0].square(), std::slice::from_ref(&x))?;
    close(&pullback.pull(&constant([1.0, 0.0, 0.0]))?[0], &[2.0, 0.0, 0.0]);
    close(&pullback.pull(&constant([0.0, 0.0, 1.0]))?[0], &[0.0, 0.0, 6.0]);
    assert!(vjp(|x| x[0].square(), &[x], &constant([1.0, 2.0])).is_err());
    Ok(())
}

#[test]
fn jacobians_of_several_inputs() -> Result<()> {
    let jacobians = jacobian(|x| &x[0] * &x[1], &[constant([1.0, 2.0]), constant([3.0])])?;
    assert_eq!((jacobians[0].dims(), jacobians[1].dims()), (&[2, 2][..], &[2, 1][..]));
    close(&jacobians[0], &[3.0, 0.0, 0.0, 3.0]);
    close(&jacobians[1], &[1.0, 2.0]);
    // Of nothing, and of a constant.
    assert_eq!(jacobian(|x| x[0].narrow(0, 0, 0), &[constant([1.0, 2.0])])?[0].dims(), [0, 2]);
    close(&jacobian(|_| Ok(constant([1.0, 2.0])), &[constant(5.0)])?[0], &[0.0, 0.0]);
    Ok(())
}

#[test]
fn hessians_of_several_inputs_and_their_products() -> Result<()> {
    // f = Σ x²y: ∂²/∂x² = 2y, ∂²/∂x∂y = 2x, ∂²/∂y² = 0, on the diagonals.
    let f = |x: &[Tensor]| (x[0].square()? * &x[1])?.sum(.., false);
    let inputs = [constant([1.0, 2.0]), constant([3.0, 4.0])];
    let blocks = hessian(f, &inputs)?;
    close(&blocks[0][0], &[6.0, 0.0, 0.0, 8.0]);
    close(&blocks[0][1], &[2.0, 0.0, 0.0, 4.0]);
    close(&blocks[1][0], &[2.0, 0.0, 0.0, 4.0]);
    close(&blocks[1][1], &[0.0; 4]);
    let products = hvp(f, &inputs, &[constant([1.0, 10.0]), constant([100.0, 1000.0])])?;
    close(&products[0], &[206.0, 4080.0]);
    close(&products[1], &[2.0, 40.0]);
    assert!(matches!(*hvp(f, &inputs, &inputs[..1]).unwrap_err(), Error::Shape { .. }));
    Ok(())
}

#[test]
fn forms_nest() -> Result<()> {
    // d/dx (x · d/dx x³) = d/dx 3x³ = 9x²
    let f = |x: &[Tensor]| &x[0] * grad(|x| x[0].square()? * &x[0], x)?.swap_remove(0);
    close(&grad(f, &[constant(2.0)])?[0], &[36.0]);
    // Inside a recorded computation the results are recorded.
    let x = leaf(2.0);
    let slope = grad(|x| x[0].square()? * &x[0], std::slice::from_ref(&x))?.swap_remove(0);
    assert_eq!(slope.device(), recording());
    close(slope.backward()?.get(&x).unwrap(), &[12.0]);
    // What the function takes from outside takes part as it is.
    let w = leaf(3.0);
    let slope =
        grad(|x| (x[0].square()? * &w)?.sum(.., false), &[constant(2.0).to_device(recording())?])?.swap_remove(0);
    close(&slope, &[12.0]);
    close(slope.backward()?.get(&w).unwrap(), &[4.0]);
    Ok(())
}

#[test]
fn functions_that_have_no_gradient() {
    assert!(matches!(*grad(|x| x[0].exp(), &[constant([1.0, 2.0])]).unwrap_err(), Error::Gradient { .. }));
    assert!(matches!(*grad(|x| x[0].exp(), &[]).unwrap_err(), Error::Argument { .. }));
    assert!(matches!(*grad(|x| Ok(x[0].clone()), &[constant(1i64)]).unwrap_err(), Error::DType { .. }));
}

/// sin x with a wrong derivative.
#[derive(Debug)]
struct Wrong;

impl CustomOp for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }
    fn infer(&self, inputs: &[Meta]) -> Result<Metas> {
        Ok(smallvec![inputs[0]])
    }
    fn forward(&self, inputs: Inputs) -> Result<Outputs> {
        Ok(smallvec![inputs[0].sin()?])
    }
    fn backward(&self, x: &[Tensor], _: &[Tensor], g: &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> {
        let wrong = Tensor::new([1.0, 1.0, 1.001], x[0].device().without_recording())?;
        Ok(Some(vec![Some((g[0].as_ref().unwrap() * (x[0].cos()? * wrong))?)]))
    }
    fn has_backward(&self) -> bool {
        true
    }
}

#[test]
fn gradcheck_finds_a_wrong_derivative_and_names_the_place() {
    let op = Custom::new(Wrong);
    let f = |x: &[Tensor]| Ok(op.apply([x[0].clone()])?.remove(0));
    let x = [constant([0.1, 0.2, 0.3])];
    let error = gradcheck(f, &x, Settings::default()).unwrap_err();
    assert!(matches!(error, GradcheckError::Mismatch { place: Place::Direction(_), .. }), "{error}");
    let error = gradcheck(f, &x, Settings::default().directions(0)).unwrap_err();
    let GradcheckError::Mismatch { place, analytic, numeric, .. } = &error else { panic!("{error}") };
    assert_eq!(*place, Place::Element { input: 0, index: vec![2] });
    assert!((analytic / numeric - 1.001).abs() < 1e-6);
    assert!(error.to_string().contains("element [2] of input 0"), "{error}");
    // With the elements left out and a wide tolerance nothing is found.
    gradcheck(f, &x, Settings::default().elements(0).tolerance(0.1)).unwrap();
}

#[test]
fn gradcheck_wants_f64() {
    let error = gradcheck(|x| x[0].exp(), &[constant([1.0f32])], Settings::default()).unwrap_err();
    assert!(matches!(error, GradcheckError::Precision { input: 0, dtype: DType::F32 }));
    let error = gradcheck(|x| x[0].reshape([5usize]), &[constant([1.0])], Settings::default()).unwrap_err();
    assert!(matches!(error, GradcheckError::Operation(_)));
}

#[test]
fn gradgradcheck_finds_a_lost_second_derivative() {
    // Right in first order; the second is lost, as the derivative passes through the host.
    #[derive(Debug)]
    struct Cut;
    impl CustomOp for Cut {
        fn name(&self) -> &'static str {
            "cut"
        }
        fn infer(&self, inputs: &[Meta]) -> Result<Metas> {
            Ok(smallvec![inputs[0]])
        }
        fn forward(&self, inputs: Inputs) -> Result<Outputs> {
            Ok(smallvec![inputs[0].sin()?])
        }
        fn backward(&self, x: &[Tensor], _: &[Tensor], g: &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> {
            Ok(Some(vec![Some((g[0].as_ref().unwrap() * x[0].detach().cos())?)]))
        }
        fn has_backward(&self) -> bool {
            true
        }
    }
    let op = Custom::new(Cut);
    let f = |x: &[Tensor]| Ok(op.apply([x[0].clone()])?.remove(0));
    let x = [constant([0.5, 1.0])];
    gradcheck(f, &x, Settings::default()).unwrap();
    assert!(matches!(gradgradcheck(f, &x, Settings::default()).unwrap_err(), GradcheckError::Mismatch { .. }));
}
