//! Operations that are newer than this backend: refused by name, never taken for something else.

use osnova_cpu::CpuDevice;
use osnova_tensor::{
    Activation, Binary, DType, Device, Error, Inputs, Meta, Op, Optimize, Outputs, Result, Tensor, Unary,
};

/// Hands an operation to the backend as it is, past inference and decomposition.
fn execute(op: &Op, inputs: &[&Tensor], outputs: &[&Tensor]) -> Result<Outputs> {
    let device = Device::cpu();
    let metas: Vec<Meta> = outputs.iter().map(|output| Meta::new(*output.shape(), output.dtype())).collect();
    device.backend().execute(device, op, inputs.iter().copied().cloned().collect(), &metas)
}

#[track_caller]
fn assert_unknown(result: Result<Outputs>, name: &str) {
    let error = result.unwrap_err();
    assert!(matches!(*error, Error::Device { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("cpu: it does not know the operation {name}. ")), "{error}");
}

#[test]
fn functions_of_every_dtype() -> Result<()> {
    for dtype in DType::ALL {
        let x = Tensor::ones([2, 3], dtype, Device::cpu())?;
        assert_unknown(execute(&Op::Unary(Unary::Unknown), &[&x], &[&x]), "unknown");
        if dtype != DType::Bool {
            assert_unknown(execute(&Op::Binary(Binary::Unknown), &[&x, &x], &[&x]), "unknown");
        }
        // What inference keeps away from a kernel is unknown to it as well.
        if dtype.is_float() {
            assert_unknown(execute(&Op::Unary(Unary::Not), &[&x], &[&x]), "not");
        }
        assert_eq!(x.to_host()?.to_f64(), [1.0; 6]);
    }
    Ok(())
}

#[test]
fn activations() -> Result<()> {
    let unknown = Activation::Unknown;
    for dtype in DType::FLOATS {
        let (x, w) = (Tensor::ones([2, 3], dtype, Device::cpu())?, Tensor::ones([4, 3], dtype, Device::cpu())?);
        let y = Tensor::ones([2, 4], dtype, Device::cpu())?;
        for (op, inputs, output) in [
            (Op::Activate(unknown), vec![&x], &x),
            (Op::ActivationGradient(unknown), vec![&x, &x], &x),
            (Op::Linear { bias: false, activation: unknown }, vec![&x, &w], &y),
        ] {
            let owned: Inputs = inputs.iter().copied().cloned().collect();
            assert!(!Device::cpu().backend().claims(&op, &owned), "{op:?}");
            // The kernel that is not asked refuses; so does the decomposition, which is asked instead.
            let linear = matches!(op, Op::Linear { .. }) && dtype.size() == 2;
            assert_unknown(execute(&op, &inputs, &[output]), if linear { "linear" } else { "unknown" });
            let error = Device::cpu().apply(&op, owned).unwrap_err();
            assert!(error.to_string().contains("does not know the operation unknown"), "{error}");
        }
    }
    Ok(())
}

#[test]
fn updates_leave_the_parameters_alone() -> Result<()> {
    let op = Op::Optimize(Optimize::Unknown);
    let scalars = Tensor::new([0.1f32], Device::cpu())?;
    let (parameter, gradient) =
        (Tensor::new([1.0f32, 2.0], Device::cpu())?, Tensor::new([3.0f32, 4.0], Device::cpu())?);
    assert!(!Device::cpu().backend().claims(&op, &[scalars.clone(), parameter.clone(), gradient.clone()]));
    assert_unknown(execute(&op, &[&scalars, &parameter, &gradient], &[&parameter]), "unknown");
    assert!(Device::cpu().apply(&op, [scalars, parameter.clone(), gradient].into_iter().collect()).is_err());
    assert_eq!(parameter.to_vec::<f32>()?, [1.0, 2.0]);
    Ok(())
}

/// A composite that is not claimed stands for a variant of `Op` that is not known.
#[test]
fn whole_operations() -> Result<()> {
    let x = Tensor::new([[1.0f32, 2.0]], Device::cpu())?;
    let op = Op::Variance { axes: [1].into_iter().collect(), keep_dims: true, correction: 0 };
    assert_unknown(execute(&op, &[&x], &[&x.narrow(1, 0, 1)?]), "var");
    let half = x.to_dtype(DType::F16)?;
    let norm = osnova_tensor::LayerNorm { axes: 1, epsilon: osnova_tensor::Real::new(1e-5), affine: false };
    assert_unknown(execute(&Op::LayerNorm(norm), &[&half], &[&half]), "layer_norm");
    Ok(())
}
