//! Random numbers and ranges beyond the sizes of the conformance kit.

mod common;

use common::device;
use osnova_tensor::random::{Distribution, Stream, generate};
use osnova_tensor::{DType, Device, HostData, Op, Real, Result, Scalar, Shape};

fn made(device: Device, op: &Op) -> Result<HostData> {
    device.apply(op, Default::default())?[0].to_host()
}

/// Streams whose counters carry into the upper word, or wrap around, in the middle of a tensor; lengths that do not fill a block.
#[test]
fn streams_are_those_of_the_host_to_the_bit() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let uniform = Distribution::Uniform { low: Real::new(-0.3), high: Real::new(1.7) };
    // Rounding leads out of this one, at both ends.
    let narrow = Distribution::Uniform { low: Real::new(0.7), high: Real::new(1.0) };
    // Its width overflows in f32.
    let wide = Distribution::Uniform { low: Real::new(-2e38), high: Real::new(3e38) };
    let bernoulli = Distribution::Bernoulli { probability: Real::new(0.37) };
    for counter in [0, u64::from(u32::MAX) - 5, (7 << 32) - 3, u64::MAX - 2] {
        let stream = Stream { seed: 0x0123_4567_89ab_cdef, counter };
        for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16, DType::Bool] {
            for distribution in [uniform, narrow, wide, bernoulli] {
                let held = match dtype {
                    DType::Bool => distribution == bernoulli,
                    DType::F16 => distribution != wide,
                    _ => true,
                };
                if !held || !device.capabilities().dtypes.contains(dtype) {
                    continue;
                }
                for count in [1, 2, 3, 61, 10_007] {
                    let op = Op::Random { shape: Shape::new(&[count])?, dtype, distribution, stream };
                    let expected = generate(distribution, stream, count, dtype)?;
                    assert!(
                        made(device, &op)?.as_bytes() == expected.as_bytes(),
                        "{count} of {dtype} from {distribution:?}, {stream:?}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// Close to the host's, far out too: logarithm, sine and cosine are the device's own.
#[test]
fn normal_numbers_are_close_to_those_of_the_host() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let (mean, deviation, count) = (0.7, 2.5, 100_003);
    let distribution = Distribution::Normal { mean: Real::new(mean), standard_deviation: Real::new(deviation) };
    let stream = Stream { seed: 3, counter: (1 << 32) - 9 };
    let dtypes = [
        (DType::F32, 2f64.powi(-23)),
        (DType::F16, 2f64.powi(-10)),
        (DType::BF16, 2f64.powi(-7)),
        (DType::F64, 2f64.powi(-51)),
    ];
    for (dtype, epsilon) in dtypes {
        if !device.capabilities().dtypes.contains(dtype) {
            continue;
        }
        let op = Op::Random { shape: Shape::new(&[count])?, dtype, distribution, stream };
        let (values, expected) = (made(device, &op)?.to_f64(), generate(distribution, stream, count, dtype)?.to_f64());
        let bound = 8.0 * epsilon * (mean + 6.0 * deviation);
        for (at, (value, expected)) in values.iter().zip(&expected).enumerate() {
            assert!((value - expected).abs() <= bound, "{dtype}: element {at} is {value} instead of {expected}");
        }
    }
    Ok(())
}

#[test]
fn truth_values_that_are_certain() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let stream = Stream { seed: 5, counter: 0 };
    for (probability, expected) in [(0.0, 0.0), (1.0, 1000.0)] {
        let distribution = Distribution::Bernoulli { probability: Real::new(probability) };
        let op = Op::Random { shape: Shape::new(&[1000])?, dtype: DType::F32, distribution, stream };
        assert_eq!(made(device, &op)?.to_f64().iter().sum::<f64>(), expected);
    }
    Ok(())
}

#[test]
fn ranges_step_as_the_oracle_does() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let check = |start: Scalar, step: Scalar, length: usize, dtype: DType| -> Result<()> {
        if !device.capabilities().dtypes.contains(dtype) {
            return Ok(());
        }
        let op = Op::Arange { start, step, length, dtype };
        let expected = made_on_host(start, step, length, dtype);
        assert!(made(device, &op)?.as_bytes() == expected.as_bytes(), "{length} of {dtype} from {start:?} by {step:?}");
        Ok(())
    };
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        for (start, step) in [(0.0, 1.0), (-40.25, 0.75), (1e-20, 3e-20), (0.1, 0.1), (5000.0, -1.0), (-0.0, -0.0)] {
            for length in [1, 70, 9000] {
                check(Scalar::from(start), Scalar::from(step), length, dtype)?;
            }
        }
    }
    for dtype in [DType::I64, DType::I32, DType::U32, DType::U8] {
        for (start, step) in [(0, 1), (17, 3), (3, 0)] {
            check(Scalar::Int(start), Scalar::Int(step), 40, dtype)?;
        }
    }
    check(Scalar::Int(i64::MAX - 3000 * 0x1_0000_0003), Scalar::Int(0x1_0000_0003), 3000, DType::I64)?;
    check(Scalar::Int(-7), Scalar::Int(-5_000_000_000), 3000, DType::I64)
}

/// `start + i·step`, in f64 for floats and in i64 for integers.
fn made_on_host(start: Scalar, step: Scalar, length: usize, dtype: DType) -> HostData {
    if dtype.is_float() {
        let values: Vec<f64> = (0..length).map(|at| start.to_f64() + at as f64 * step.to_f64()).collect();
        return HostData::from_f64(dtype, &values);
    }
    let values = (0..length as i64).map(|at| start.to_i64().wrapping_add(at.wrapping_mul(step.to_i64())));
    match dtype {
        DType::I64 => HostData::I64(values.collect()),
        DType::I32 => HostData::I32(values.map(|value| value as i32).collect()),
        DType::U32 => HostData::U32(values.map(|value| value as u32).collect()),
        _ => HostData::U8(values.map(|value| value as u8).collect()),
    }
}
