//! Normalisation layers: what they promise, their derivatives of any order, and the life of running statistics.

use osnova_autodiff::{AutodiffDevice, CheckedDevice, Settings, gradcheck, gradgradcheck};
use osnova_cpu::CpuDevice;
use osnova_nn::{
    BatchNorm, BatchNorm1d, BatchNorm2d, Forward, GroupNorm, InstanceNorm, Layer, LayerNorm, Linear, Module, Relu,
    Residual, RmsNorm, Sequential,
};
use osnova_tensor::{DType, Device, Error, Generator, Result, Tensor};
use proptest::prelude::*;

fn cpu() -> Device {
    Device::cpu()
}

fn normal(shape: &[usize], mean: f64, deviation: f64, seed: u64) -> Tensor {
    Tensor::normal(shape, mean, deviation, DType::F64, &Generator::new(seed), cpu()).unwrap()
}

/// The largest |mean| and |variance − 1| of the values along axes.
fn departure(values: &Tensor, axes: &[usize]) -> (f64, f64) {
    let largest = |tensor: Tensor| tensor.abs().unwrap().max(.., false).unwrap().item().unwrap();
    let variance = values.var(axes, 0, false).unwrap();
    (largest(values.mean(axes, false).unwrap()), largest((variance - 1.0).unwrap()))
}

/// The gradients of every parameter against central differences.
fn check_parameters(layer: &mut dyn Layer, input: &Tensor) {
    let weights = normal(input.dims(), 0.0, 1.0, 99);
    let loss = |layer: &dyn Layer| (layer.forward(input).unwrap() * &weights).unwrap().sum(.., false).unwrap();
    let gradients = loss(layer).backward().unwrap();
    let count = layer.parameters().len();
    assert!(count > 0);
    for index in 0..count {
        let analytic = gradients.get(layer.parameters()[index].tensor()).unwrap().to_vec::<f64>().unwrap();
        let start = layer.parameters()[index].value();
        for (at, analytic) in analytic.into_iter().enumerate() {
            let mut shifted = |by: f64| {
                let mut values = start.to_vec::<f64>().unwrap();
                values[at] += by;
                let values = Tensor::from_vec(values, *start.shape(), cpu()).unwrap();
                layer.parameters_mut()[index].set_value(values).unwrap();
                loss(layer).item().unwrap()
            };
            let numeric = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            assert!((analytic - numeric).abs() <= 1e-6 * analytic.abs().max(1.0), "{analytic} instead of {numeric}");
        }
        layer.parameters_mut()[index].set_value(start).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn outputs_have_mean_0_and_variance_1(
        seed: u64, batch in 2..6_usize, groups in 1..4_usize, size in 1..4_usize, length in 2..6_usize,
        mean in -50.0..50.0_f64, deviation in 0.5..20.0_f64,
    ) {
        let channels = groups * size;
        let input = normal(&[batch, channels, length], mean, deviation, seed);
        let near = |(mean, variance): (f64, f64)| mean < 1e-7 && variance < 1e-7;
        let options = |layer: Box<dyn Layer>| layer.forward(&input).unwrap();

        let output = options(Box::new(BatchNorm::options(channels).epsilon(0.0).dtype(DType::F64).build(cpu()).unwrap()));
        prop_assert!(near(departure(&output, &[0, 2])));
        let output = options(Box::new(GroupNorm::options(groups, channels).epsilon(0.0).dtype(DType::F64).build(cpu()).unwrap()));
        let grouped = output.reshape([batch, groups, size * length]).unwrap();
        prop_assert!(near(departure(&grouped, &[2])));
        let output = options(Box::new(InstanceNorm::options(channels).epsilon(0.0).build(cpu()).unwrap()));
        prop_assert!(near(departure(&output, &[2])));
        let output = options(Box::new(LayerNorm::options([channels, length]).unwrap().epsilon(0.0).dtype(DType::F64).build(cpu()).unwrap()));
        prop_assert!(near(departure(&output, &[1, 2])));
        let output = options(Box::new(RmsNorm::options([channels, length]).unwrap().dtype(DType::F64).build(cpu()).unwrap()));
        let squares = output.square().unwrap().mean([1, 2], false).unwrap();
        prop_assert!(squares.to_vec::<f64>().unwrap().iter().all(|square| (square - 1.0).abs() < 1e-9));
    }

    #[test]
    fn shifting_and_scaling_a_channel_changes_nothing(seed: u64, shift in -10.0..10.0_f64, factor in 0.5..4.0_f64) {
        let layer = BatchNorm::options(3).epsilon(0.0).affine(false).dtype(DType::F64).build(cpu()).unwrap();
        let input = normal(&[5, 3, 4], 1.0, 2.0, seed);
        let moved = ((&input * factor).unwrap() + shift).unwrap();
        let difference = (layer.forward(&input).unwrap() - layer.forward(&moved).unwrap()).unwrap().abs().unwrap();
        prop_assert!(difference.max(.., false).unwrap().item().unwrap() < 1e-9);
    }

    #[test]
    fn derivatives_equal_differences(seed: u64) {
        let input = [normal(&[3, 4, 2], 0.5, 1.5, seed)];
        let layers: [Box<dyn Layer>; 5] = [
            Box::new(BatchNorm::options(4).dtype(DType::F64).build(cpu()).unwrap()),
            Box::new(BatchNorm::options(4).affine(false).track_running_stats(false).dtype(DType::F64).build(cpu()).unwrap()),
            Box::new(GroupNorm::options(2, 4).dtype(DType::F64).build(cpu()).unwrap()),
            Box::new(InstanceNorm::options(4).affine(true).epsilon(0.1).dtype(DType::F64).build(cpu()).unwrap()),
            Box::new(RmsNorm::options([4, 2]).unwrap().dtype(DType::F64).build(cpu()).unwrap()),
        ];
        for layer in &layers {
            let check = gradcheck(|x| layer.forward(&x[0]), &input, Settings::default());
            prop_assert!(check.is_ok(), "{}: {}", layer.kind(), check.unwrap_err());
            let check = gradgradcheck(|x| layer.forward(&x[0]), &input, Settings::default().elements(6));
            prop_assert!(check.is_ok(), "{}, twice: {}", layer.kind(), check.unwrap_err());
        }
    }
}

#[test]
fn parameters_have_the_derivatives_of_differences() {
    let device = cpu().autodiff();
    let input = normal(&[4, 6, 3], 1.0, 2.0, 5);
    let mut batch = BatchNorm::options(6).dtype(DType::F64).build(device).unwrap();
    check_parameters(&mut batch, &input);
    // In evaluation the parameters stand before the running statistics.
    batch.eval();
    check_parameters(&mut batch, &input);
    check_parameters(&mut GroupNorm::options(3, 6).dtype(DType::F64).build(device).unwrap(), &input);
    check_parameters(&mut InstanceNorm::options(6).affine(true).dtype(DType::F64).build(device).unwrap(), &input);
    check_parameters(&mut RmsNorm::options([6, 3]).unwrap().dtype(DType::F64).build(device).unwrap(), &input);
}

#[test]
fn textbook_5_batch_normalisation_by_hand() -> Result<()> {
    // One feature, the batch 1, 2, 3, 4: mean 2.5, variance 1.25, unbiased 5/3.
    let mut layer = BatchNorm1d::options(1).epsilon(0.0).dtype(DType::F64).build(cpu())?;
    let batch = Tensor::new([[1.0], [2.0], [3.0], [4.0]], cpu())?;
    let output = layer.forward(&batch)?.to_vec::<f64>()?;
    let deviation = 1.25_f64.sqrt();
    let expected = [-1.5, -0.5, 0.5, 1.5].map(|value| value / deviation);
    assert!(output.iter().zip(expected).all(|(value, expected)| (value - expected).abs() < 1e-12), "{output:?}");
    let running = |layer: &BatchNorm| {
        let value =
            |buffer: &Option<osnova_nn::Buffer>| buffer.as_ref().unwrap().value().to_host().unwrap().to_f64()[0];
        (value(&layer.running_mean), value(&layer.running_var), value(&layer.num_batches_tracked))
    };
    let (mean, variance, batches) = running(&layer);
    assert!((mean - 0.25).abs() < 1e-12 && (variance - (0.9 + 0.1 * 5.0 / 3.0)).abs() < 1e-12 && batches == 1.0);
    // In evaluation: (x − 0.25)/√running variance, and nothing moves.
    layer.eval();
    let output = layer.forward(&batch)?.to_vec::<f64>()?;
    assert!((output[3] - 3.75 / variance.sqrt()).abs() < 1e-12);
    assert_eq!(running(&layer), (mean, variance, batches));
    Ok(())
}

#[test]
fn running_statistics_come_to_those_of_the_data() -> Result<()> {
    let (generator, device) = (Generator::new(3), cpu().autodiff());
    let mut layers = [0.1.into(), None].map(|momentum: Option<f64>| {
        BatchNorm2d::options(2).momentum(momentum).dtype(DType::F64).build(device).unwrap()
    });
    let scale = Tensor::new([[[[2.0]], [[0.5]]]], cpu())?;
    let draw = || {
        ((Tensor::normal([16, 2, 4, 4], 0.0, 1.0, DType::F64, &generator, cpu())? * &scale)? + 3.0)?.to_device(device)
    };
    for _ in 0..150 {
        let batch = draw()?;
        layers.iter().try_for_each(|layer| layer.forward(&batch).map(drop))?;
    }
    for layer in &mut layers {
        layer.eval();
        let output = layer.forward(&draw()?)?;
        let (mean, variance) = departure(&output, &[0, 2, 3]);
        assert!(mean < 0.3 && variance < 0.4, "{mean} {variance}");
        let values = |buffer: &Option<osnova_nn::Buffer>| buffer.as_ref().unwrap().value().to_vec::<f64>().unwrap();
        assert!(values(&layer.running_mean).iter().all(|mean| (mean - 3.0).abs() < 0.15));
        assert!(
            values(&layer.running_var)
                .iter()
                .zip([4.0, 0.25])
                .all(|(found, true_one)| (found / true_one - 1.0).abs() < 0.1)
        );
        assert!(!layer.running_mean.as_ref().unwrap().value().is_tracked(), "no record is kept alive");
    }
    Ok(())
}

#[test]
fn a_sample_does_not_depend_on_its_neighbours_in_evaluation() -> Result<()> {
    let model = Sequential::new()
        .with(Linear::options(3, 4).dtype(DType::F64).build(&Generator::new(1), cpu())?)
        .with(BatchNorm::options(4).dtype(DType::F64).build(cpu())?)
        .with(Relu);
    let batch = normal(&[6, 3], 1.0, 2.0, 8);
    let alone = |model: &Sequential| model.forward(&batch.narrow(0, 2, 2)?)?.to_vec::<f64>();
    let among = |model: &Sequential| model.forward(&batch)?.narrow(0, 2, 2)?.to_vec::<f64>();
    let copy = model.inference()?;
    assert_eq!(alone(&copy)?, among(&copy)?);
    assert_ne!(alone(&model)?, among(&model)?, "the model itself still trains");
    // The copy's statistics are its own from here on.
    let mean = |model: &Sequential| model.state_dict().get("1.running_mean").unwrap().to_vec::<f64>();
    assert_eq!(mean(&copy)?, [0.0; 4]);
    assert_ne!(mean(&model)?, [0.0; 4]);
    Ok(())
}

#[test]
fn names_are_those_of_pytorch_and_states_come_back() -> Result<()> {
    let device = cpu().autodiff();
    let layer = BatchNorm::new(3, device)?;
    let names = |layer: &dyn Module| layer.state_dict().names().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(&layer), ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]);
    assert_eq!(layer.parameter_count(), 6);
    assert_eq!(layer.state_dict().get("num_batches_tracked").unwrap().dims(), [0_usize; 0]);
    let plain = BatchNorm::options(3).affine(false).track_running_stats(false).build(device)?;
    assert!(names(&plain).is_empty());
    assert_eq!(names(&GroupNorm::new(1, 3, device)?), ["weight", "bias"]);
    assert!(names(&InstanceNorm::new(3, device)?).is_empty());
    assert_eq!(names(&RmsNorm::new(3, device)?), ["weight"]);

    let input = Tensor::normal([5, 3], 2.0, 3.0, DType::F32, &Generator::new(4), device)?;
    layer.forward(&input)?;
    let mut other = BatchNorm::new(3, cpu())?;
    other.load_state_dict(&layer.state_dict())?;
    let bits = |layer: &BatchNorm| layer.inference()?.forward(&input.detach())?.to_vec::<f32>();
    assert_eq!(bits(&layer)?, bits(&other)?);
    Ok(())
}

#[test]
fn wrapping_devices_change_nothing() -> Result<()> {
    let input = Tensor::normal([5, 3], 2.0, 3.0, DType::F32, &Generator::new(4), cpu())?;
    let run = |device: Device| -> Result<_> {
        let layer = BatchNorm::new(3, device)?;
        let output = layer.forward(&input.to_device(device)?)?;
        let statistics = layer.state_dict().get("running_var").unwrap().to_vec::<f32>()?;
        Ok((output.to_vec::<f32>()?, statistics))
    };
    let expected = run(cpu())?;
    for device in [cpu().autodiff(), cpu().autodiff().autodiff(), cpu().checked().autodiff()] {
        assert_eq!(run(device)?, expected, "{device}");
    }
    Ok(())
}

#[test]
fn half_types_are_summed_in_single_precision() -> Result<()> {
    // The squares of these overflow f16.
    let values: Vec<f32> = (0..64).map(|index| 300.0 + index as f32).collect();
    let single = Tensor::from_vec(values, [32, 2], cpu())?;
    for dtype in [DType::F16, DType::BF16] {
        let half = single.to_dtype(dtype)?;
        let layers: [Box<dyn Layer>; 2] = [
            Box::new(BatchNorm::options(2).dtype(dtype).build(cpu())?),
            Box::new(RmsNorm::options(2)?.dtype(dtype).build(cpu())?),
        ];
        for layer in layers {
            let output = layer.forward(&half)?;
            assert_eq!(output.dtype(), dtype);
            let largest = output.to_dtype(DType::F32)?.abs()?.max(.., false)?.item()?;
            assert!((0.9..2.0).contains(&largest), "{}: {largest}", layer.kind());
        }
    }
    Ok(())
}

#[test]
fn layers_refuse_what_does_not_fit() -> Result<()> {
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, cpu()).unwrap();
    let batch = BatchNorm::new(3, cpu())?;
    for shape in [&[4][..], &[4, 2], &[1, 3], &[0, 3]] {
        assert!(matches!(*batch.forward(&zeros(shape, DType::F32)).unwrap_err(), Error::Shape { .. }), "{shape:?}");
    }
    assert!(matches!(*batch.forward(&zeros(&[4, 3], DType::F64)).unwrap_err(), Error::DType { .. }));
    assert!(matches!(*batch.forward(&zeros(&[4, 3], DType::I64)).unwrap_err(), Error::DType { .. }));
    let count = batch.num_batches_tracked.as_ref().unwrap().value().to_scalar::<i64>()?;
    assert_eq!(count, 0, "a refused batch is not counted");
    // One sample is enough where it has several places, and in evaluation.
    assert!(batch.forward(&zeros(&[1, 3, 2], DType::F32)).is_ok());
    assert!(batch.inference()?.forward(&zeros(&[1, 3], DType::F32)).is_ok());
    assert!(batch.inference()?.forward(&zeros(&[0, 3], DType::F32))?.dims() == [0, 3]);

    assert!(BatchNorm::new(0, cpu()).is_err() && InstanceNorm::new(0, cpu()).is_err());
    assert!(BatchNorm::options(3).momentum(1.5).build(cpu()).is_err());
    assert!(BatchNorm::options(3).epsilon(f64::NAN).build(cpu()).is_err());
    assert!(GroupNorm::new(2, 3, cpu()).is_err() && GroupNorm::new(0, 3, cpu()).is_err());
    assert!(GroupNorm::options(1, 3).epsilon(-1.0).build(cpu()).is_err());
    assert!(RmsNorm::new((), cpu()).is_err());
    assert!(matches!(
        *GroupNorm::new(1, 3, cpu())?.forward(&zeros(&[4, 2], DType::F32)).unwrap_err(),
        Error::Shape { .. }
    ));
    assert!(matches!(
        *InstanceNorm::new(3, cpu())?.forward(&zeros(&[4, 3], DType::F32)).unwrap_err(),
        Error::Shape { .. }
    ));
    assert!(matches!(*RmsNorm::new(3, cpu())?.forward(&zeros(&[4, 2], DType::F32)).unwrap_err(), Error::Shape { .. }));
    Ok(())
}

#[test]
fn residuals_add_their_input() -> Result<()> {
    let (generator, device) = (Generator::new(2), cpu().autodiff());
    let body = Linear::options(3, 3).dtype(DType::F64).build(&generator, device)?;
    let input = normal(&[4, 3], 0.0, 1.0, 1).to_device(device)?.into_tracked()?;
    let block = Residual::new(body.clone());
    let expected = (body.forward(&input)? + &input)?.to_vec::<f64>()?;
    let output = block.forward(&input)?;
    assert_eq!(output.to_vec::<f64>()?, expected);
    // ∂Σ(Wx + b + x)/∂x = Wᵀ1 + 1
    let gradients = output.sum(.., false)?.backward()?;
    let slope = (body.weight.value().sum(0, false)? + 1.0)?.to_vec::<f64>()?;
    let rows = gradients.get(&input).unwrap().to_vec::<f64>()?;
    assert!(rows.chunks(3).all(|row| row.iter().zip(&slope).all(|(found, expected)| (found - expected).abs() < 1e-12)));

    let wider = Linear::options(3, 5).dtype(DType::F64);
    let projected = Residual::new(wider.build(&generator, device)?).with_projection(wider.build(&generator, device)?);
    assert_eq!(projected.forward(&input)?.dims(), [4, 5]);
    let names: Vec<_> = projected.named_parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["body.weight", "body.bias", "projection.weight", "projection.bias"]);
    // What would broadcast is refused all the same.
    let narrow = Residual::new(Linear::options(3, 1).dtype(DType::F64).build(&generator, device)?);
    assert!(matches!(*narrow.forward(&input).unwrap_err(), Error::Shape { .. }));
    Ok(())
}

#[test]
fn a_summary_goes_past_a_projection() -> Result<()> {
    let (generator, device) = (Generator::new(2), cpu());
    let wider = || Linear::new(3, 5, &generator, device).unwrap();
    let model = Sequential::new()
        .with(Residual::new(Sequential::new().with(wider()).with(Relu)).with_projection(wider()))
        .with(Linear::new(5, 2, &generator, device)?);
    let summary = model.summary([7, 3])?;
    let rows: Vec<_> =
        summary.rows.iter().map(|row| (row.name.as_str(), row.output.map(|shape| shape.to_vec()))).collect();
    let expected = [
        ("0.body.0", Some(vec![7, 5])),
        ("0.body.1", Some(vec![7, 5])),
        ("0.projection", None),
        ("1", Some(vec![7, 2])),
    ];
    assert_eq!(rows, expected);
    Ok(())
}
