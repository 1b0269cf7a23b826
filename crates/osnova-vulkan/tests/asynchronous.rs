//! That the host does not wait: batches, barriers and memory, by what [`statistics`] counts.

mod common;

use osnova_tensor::{Device, Error, Result, Tensor};
use osnova_vulkan::{Statistics, statistics};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Dispatches of a full batch.
const BATCH: u64 = 64;
/// The shortest batch that is submitted early, because the device has nothing to do.
const EARLY: u64 = 4;

/// The first device, for one test at a time: they count what it does. None where there is no Vulkan and nobody insists on it.
fn device() -> Option<(Device, MutexGuard<'static, ()>)> {
    static ALONE: Mutex<()> = Mutex::new(());
    Some((common::device()?, ALONE.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// What a device does while `work` runs.
fn during(device: Device, work: impl FnOnce() -> Result<()>) -> Result<Statistics> {
    device.synchronize()?;
    let before = statistics(device)?;
    work()?;
    let mut after = statistics(device)?;
    after.dispatches -= before.dispatches;
    after.copies -= before.copies;
    after.barriers -= before.barriers;
    after.submissions -= before.submissions;
    after.waits -= before.waits;
    after.throttles -= before.throttles;
    after.pipelines -= before.pipelines;
    after.allocations -= before.allocations;
    Ok(after)
}

#[test]
fn a_chain_is_submitted_in_batches_and_nobody_waits() -> Result<()> {
    let Some((device, _alone)) = device() else { return Ok(()) };
    let x = Tensor::new([1.0f32, 2.0], device)?;
    let mut total = x.zeros_like()?;
    let did = during(device, || {
        for _ in 0..1000 {
            total = (&total + &x)?;
        }
        Ok(())
    })?;
    assert_eq!(did.dispatches, 1000);
    assert!((1000 / BATCH..=1000 / EARLY).contains(&did.submissions), "{did:?}");
    assert_eq!((did.waits, did.throttles), (0, 0));
    // One between each and the next, but where a batch begins.
    assert!(did.barriers + did.submissions + 1 >= 1000 && did.barriers < 1000, "{did:?}");
    assert_eq!(total.to_vec::<f32>()?, [1000.0, 2000.0]);
    Ok(())
}

#[test]
fn what_is_independent_needs_no_barrier() -> Result<()> {
    let Some((device, _alone)) = device() else { return Ok(()) };
    let x = Tensor::new([1.0f32, 2.0], device)?;
    let y = Tensor::new([3.0f32, 4.0], device)?;
    let mut results = Vec::new();
    let did = during(device, || {
        for _ in 0..32 {
            // Results are kept: a buffer that is used again would have to wait.
            results.push((&x + &y)?);
            results.push(x.exp()?);
        }
        Ok(())
    })?;
    assert_eq!((did.dispatches, did.barriers), (64, 0));
    // Reading what was written takes one, however many are read.
    let sums: Vec<Tensor> = results.iter().step_by(2).cloned().collect();
    let did = during(device, || {
        results.truncate(2);
        let first = (&results[0] + &results[1])?;
        let second = (&results[1] - &results[0])?;
        (&first * &second).map(drop)
    })?;
    assert_eq!((did.dispatches, did.barriers), (3, 1));
    assert!(sums.iter().all(|sum| sum.to_vec::<f32>().is_ok_and(|values| values == [4.0, 6.0])));
    Ok(())
}

#[test]
fn only_downloads_wait() -> Result<()> {
    let Some((device, _alone)) = device() else { return Ok(()) };
    let x = Tensor::from_vec(vec![1.0f32; 1000], [10, 100], device)?;
    let step =
        |x: &Tensor| -> Result<Tensor> { ((x.transpose(0, 1)?.contiguous()? * 0.5)? + 1.0)?.exp()?.narrow(0, 3, 1) };
    let did = during(device, || step(&x).map(drop))?;
    assert_eq!(did.waits, 0);
    let did = during(device, || step(&x)?.to_vec::<f32>().map(drop))?;
    assert_eq!(did.waits, 1);
    // Uploads do not wait either.
    let did = during(device, || Tensor::from_vec(vec![1.0f32; 1000], [1000], device)?.neg().map(drop))?;
    assert_eq!((did.waits, did.copies), (0, 1));
    Ok(())
}

#[test]
fn memory_is_flat_over_many_steps() -> Result<()> {
    let Some((device, _alone)) = device() else { return Ok(()) };
    let mut weights = Tensor::from_vec(vec![1.0f32; 1000], [50, 20], device)?;
    let bias = Tensor::from_vec(vec![0.5f32; 20], [20], device)?;
    let mut step = |input: f32| -> Result<f32> {
        // A fresh batch from the host, several results that are dropped, one number back.
        let batch = Tensor::from_vec(vec![input; 1000], [50, 20], device)?;
        let product = ((&batch * &weights)? + &bias)?.tanh()?;
        weights = (&weights - (&product * 0.001)?)?;
        Ok(product.narrow(0, 0, 1)?.narrow(1, 0, 1)?.to_vec::<f32>()?[0])
    };
    for warm_up in 0..10 {
        step(warm_up as f32 / 10.0)?;
    }
    let before = statistics(device)?;
    let did = during(device, || (0..1000).try_for_each(|count| step(count as f32 / 1000.0).map(drop)))?;
    let after = statistics(device)?;
    assert_eq!((did.allocations, did.pipelines), (0, 0));
    assert_eq!(after.bytes_in_use, before.bytes_in_use);
    assert_eq!(after.bytes_pooled, before.bytes_pooled);
    // One for each number; `during` waits once before.
    assert_eq!(did.waits, 1000);
    assert_eq!(did.throttles, 0);
    Ok(())
}

/// Without a download in between the host runs ahead, but not without end, and uploads leave nothing behind.
#[test]
fn the_host_does_not_run_ahead_for_ever() -> Result<()> {
    let Some((device, _alone)) = device() else { return Ok(()) };
    let mut total = Tensor::from_vec(vec![0.0f32; 10_000], [10_000], device)?;
    let did = during(device, || {
        for _ in 0..2500 {
            total = (&total + Tensor::from_vec(vec![1.0f32; 10_000], [10_000], device)?)?;
        }
        Ok(())
    })?;
    assert_eq!(did.waits, 0);
    // At most 32 batches are under way, each with 32 uploads or fewer.
    assert!(did.allocations <= 33 * 32 + 8, "{did:?}");
    assert_eq!(total.to_vec::<f32>()?[9_999], 2500.0);
    Ok(())
}

#[test]
fn what_is_no_vulkan_device_has_no_statistics() {
    if let Some((device, _alone)) = device() {
        use osnova_autodiff::AutodiffDevice;
        assert!(statistics(device.autodiff()).is_ok());
    }
    let error = statistics(<Device as osnova_reference::ReferenceDevice>::reference()).unwrap_err();
    assert!(matches!(*error, Error::Device { .. }) && error.to_string().contains("not a Vulkan device"), "{error}");
}
