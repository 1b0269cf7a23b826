//! What the conformance kit does not reach: limits, long metadata, many threads, late errors.

mod common;

use common::device;
use osnova_tensor::{DType, Device, Error, Generator, Result, SliceRange, Tensor};
use osnova_vulkan::VulkanDevice;
use std::thread;

/// The first device, if it has these dtypes.
fn device_with(dtypes: &[DType]) -> Option<Device> {
    let device = device()?;
    let missing = dtypes.iter().find(|&&dtype| !device.capabilities().dtypes.contains(dtype));
    if let Some(missing) = missing {
        eprintln!("SKIPPED: this device has no {missing}");
    }
    missing.is_none().then_some(device)
}

#[test]
fn a_chain_of_operations() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let x = Tensor::new([[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]], device)?;
    let bias = Tensor::new([10.0f32, 20.0, 30.0], device)?;
    let y = ((&x * 2.0)? + &bias)?;
    assert_eq!(y.to_vec::<f32>()?, [12.0, 24.0, 36.0, 18.0, 30.0, 42.0]);
    assert_eq!(y.transpose(0, 1)?.to_vec::<f32>()?, [12.0, 18.0, 24.0, 30.0, 36.0, 42.0]);
    // More dispatches than a batch holds, each depending on the one before, with buffers that are used again.
    let mut total = x.zeros_like()?;
    for _ in 0..1000 {
        total = (&total + &x)?;
    }
    assert_eq!(total.to_vec::<f32>()?, [1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0]);
    device.synchronize()
}

#[test]
fn devices_are_listed_with_their_limits() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let first = &Device::available()?[0];
    assert_eq!(first.dtypes, device.capabilities().dtypes);
    assert!(first.max_tensor_bytes >= 1 << 27, "{first}");
    assert!(device.capabilities().asynchronous);
    Ok(())
}

#[test]
fn there_is_no_thousandth_device() {
    if device().is_none() {
        return;
    }
    let message = Device::vulkan(1000).unwrap_err().to_string();
    assert!(message.contains("vulkan:1000") && message.contains("available()"), "{message}");
}

/// Eight axes of two that cannot be joined, three times: more metadata than push constants hold.
#[test]
fn long_metadata_go_through_a_buffer() -> Result<()> {
    let Some(device) = device_with(&[DType::Bool]) else { return Ok(()) };
    let dims = [2usize; 8];
    let values: Vec<f32> = (0..256).map(|index| index as f32).collect();
    let x = Tensor::from_vec(values, dims, device)?;
    let y = x.permute([7, 6, 5, 4, 3, 2, 1, 0])?;
    let condition = x.permute([3, 1, 7, 5, 0, 2, 6, 4])?.less(100.0)?;
    let condition = condition.permute([1, 0, 3, 2, 5, 4, 7, 6])?;
    let chosen = condition.where_(&x, &y)?.to_vec::<f32>()?;
    let (x, y, condition) = (x.to_vec::<f32>()?, y.to_vec::<f32>()?, condition.to_vec::<bool>()?);
    for index in 0..256 {
        assert_eq!(chosen[index], if condition[index] { x[index] } else { y[index] });
    }
    Ok(())
}

#[test]
fn threads_share_a_device() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|number| {
                scope.spawn(move || -> Result<()> {
                    let x = Tensor::new([number as f32, 1.0], device)?;
                    for _ in 0..50 {
                        let mut y = x.clone();
                        for _ in 0..20 {
                            y = (&y + &x)?;
                        }
                        assert_eq!(y.to_vec::<f32>()?, [21.0 * number as f32, 21.0]);
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })
}

#[test]
fn a_wrong_index_is_told_when_the_host_waits() -> Result<()> {
    let Some(device) = device_with(&[DType::I64]) else { return Ok(()) };
    let x = Tensor::new([1.0f32, 2.0, 3.0], device)?;
    let wrong = Tensor::new([0i64, 5], device)?;
    let result = x.index_select(0, &wrong)?;
    let error = result.to_vec::<f32>().unwrap_err();
    assert!(matches!(*error, Error::Argument { .. }), "{error}");
    assert!(error.to_string().contains("index 5 is out of range for axis 0 of size 3"), "{error}");
    // The device goes on.
    assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
    // Whoever waits for the device hears of it, also of what another thread did.
    thread::scope(|scope| scope.spawn(|| x.index_select(0, &wrong).map(drop)).join()).expect("it does not panic")?;
    assert!(device.synchronize().is_err());
    device.synchronize()
}

/// A tensor larger than a kernel can see: parts of it work, the whole is refused with an explanation.
#[test]
fn tensors_over_the_binding_limit() -> Result<()> {
    let Some(device) = device_with(&[DType::U8]) else { return Ok(()) };
    let limit = Device::available()?[0].max_tensor_bytes;
    if limit > 1 << 28 {
        eprintln!("SKIPPED: this device shows kernels tensors of {limit} bytes, more than a test should hold");
        return Ok(());
    }
    let count = limit as usize + (1 << 20);
    let mut values = vec![0u8; count];
    values[count - 3..].copy_from_slice(&[7, 8, 9]);
    let x = Tensor::from_vec(values, [count], device)?;
    let part = |length: usize, step: isize| {
        let start = if step < 0 { count - 1 } else { count - length };
        let ranges = [SliceRange { start, length, step }];
        Tensor::apply(&osnova_tensor::Op::Slice { ranges: ranges.into_iter().collect() }, [x.clone()])
    };
    assert_eq!((&part(3, 1)?[0] + 1u8)?.to_vec::<u8>()?, [8, 9, 10]);
    assert_eq!((&part(3, -1)?[0] + 1u8)?.to_vec::<u8>()?, [10, 9, 8]);
    let message = (&x + 1u8).unwrap_err().to_string();
    assert!(message.contains("maxStorageBufferRange") && message.contains("Split the tensor"), "{message}");
    Ok(())
}

/// More elements than the workgroups of one dispatch reach at once: the kernels loop.
#[test]
fn more_workgroups_than_a_dispatch_has() -> Result<()> {
    let Some(device) = device_with(&[DType::U8]) else { return Ok(()) };
    let count = (1 << 26) + 1001;
    assert!(count > 65_535 * 1024 && count < 1 << 27, "what one dispatch of the elementwise kernels covers");
    let x = Tensor::full([count], 1u8, DType::U8, device)?;
    let y = (&x + 1u8)?;
    for start in [0, 1 << 25, count - 5] {
        assert_eq!(y.narrow(0, start, 5)?.to_vec::<u8>()?, [2; 5]);
    }
    Ok(())
}

/// More memory than the device has: a typed error, and the device goes on.
#[test]
fn out_of_memory() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let memory = Device::available()?[0].memory as usize;
    let error = Tensor::full([memory / 4, 8], 1.0f32, DType::F32, device).unwrap_err();
    assert!(matches!(*error, Error::Device { .. }), "{error}");
    let message = error.to_string();
    let tensor =
        format!("out of memory: a tensor of shape [{}, 8] and dtype f32 takes {} bytes", memory / 4, memory * 8);
    for part in [tensor.as_str(), "no more than", "for one tensor", "Split the tensor"] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(!message.contains("validation"), "{message}");
    assert_eq!(Tensor::new([1.0f32], device)?.to_vec::<f32>()?, [1.0]);
    Ok(())
}

/// Numbers of bytes that no machine has, whether made on the device or on the host.
#[test]
fn impossible_sizes() -> Result<()> {
    let Some(device) = device() else { return Ok(()) };
    let distribution = Generator::new(0);
    for count in [1usize << 40, 1 << 59, (1 << 60) - 1] {
        let outcomes = [
            Tensor::zeros([count], DType::F32, device),
            Tensor::arange_of(0.0, 1.0, count, DType::F32, device),
            Tensor::uniform([count], 0.0, 1.0, DType::F32, &distribution, device),
            Tensor::zeros((), DType::F32, device)?.expand([count])?.contiguous(),
        ];
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            assert!(matches!(*error, Error::Device { .. } | Error::Shape { .. }), "{error}");
            let message = error.to_string();
            assert!(message.contains("bytes") || message.contains("elements"), "{message}");
            assert!(!message.contains("validation"), "{message}");
        }
    }
    assert_eq!(Tensor::new([1.0f32], device)?.to_vec::<f32>()?, [1.0]);
    Ok(())
}

/// Views of one number that seem to have more elements than any counter, and tensors of none with axes as long: an answer or a typed
/// error for every operation, at once.
#[test]
fn huge_views() -> Result<()> {
    type Run<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor>;
    let Some(device) = device() else { return Ok(()) };
    let one = Tensor::ones([1, 1], DType::F32, device)?;
    let index = Tensor::zeros([1], device.index_dtype(), device)?;
    let runs: &[(&str, Run<'_>)] = &[
        ("exp", &|x| x.exp()),
        ("add", &|x| x + x),
        ("add one", &|x| x + &one),
        ("cast", &|x| x.to_dtype(DType::I32)),
        ("clamp", &|x| x.clamp(0.0, 1.0)),
        ("sum", &|x| x.sum(.., false)),
        ("sum 0", &|x| x.sum(0isize, false)),
        ("sum 1", &|x| x.sum(1isize, true)),
        ("max", &|x| x.max(1isize, false)),
        ("mean", &|x| x.mean(.., false)),
        ("var", &|x| x.var(.., 1, false)),
        ("logsumexp", &|x| x.logsumexp(1isize, false)),
        ("argmax", &|x| x.argmax(1, false)),
        ("cumsum", &|x| x.cumsum(1)),
        ("sort", &|x| Ok(x.sort(1, false)?.0)),
        ("softmax", &|x| x.softmax(1)),
        ("log_softmax", &|x| x.log_softmax(0)),
        ("contiguous", &|x| x.transpose(0, 1)?.contiguous()),
        ("concat", &|x| Tensor::concat(&[x, x], 0)),
        ("matmul", &|x| x.matmul(&x.transpose(0, 1)?)),
        ("matmul inner", &|x| x.transpose(0, 1)?.matmul(x)),
        ("index_select", &|x| x.index_select(1, &index)),
        ("index_select 0", &|x| x.index_select(0, &index)),
        ("gather", &|x| x.gather(1, &index.unsqueeze(0)?)),
        ("gather all", &|x| one.gather(1, &index.unsqueeze(0)?.expand(*x.shape())?)),
        ("index_add", &|x| x.index_add(1, &index, &x.narrow(1, 0, 1)?)),
        ("cross_entropy", &|x| x.cross_entropy(&index.expand([x.dims()[0]])?)),
        ("download", &|x| x.to_host().map(|_| x.clone())),
    ];
    let most = 1usize << 40;
    let views = [
        one.expand([1, most])?,
        one.expand([most, 1])?,
        one.narrow(0, 0, 0)?.expand([0, most])?,
        one.narrow(1, 0, 0)?.expand([most, 0])?,
    ];
    for x in &views {
        for (name, run) in runs {
            let outcome =
                run(x).and_then(|made| if made.count() <= 1 << 20 { made.to_host().map(drop) } else { Ok(()) });
            if let Err(error) = outcome {
                let message = error.to_string();
                assert!(message.len() < 500 && !message.contains("validation"), "{name} of {}: {message}", x.shape());
            }
        }
    }
    // A selection by an index needs no counting of what is left out, as long as the axis can be counted.
    let wide = one.expand([1, 1 << 31])?;
    assert_eq!(wide.index_select(1, &index)?.to_vec::<f32>()?, [1.0]);
    assert_eq!(one.to_vec::<f32>()?, [1.0]);
    device.synchronize()
}
