//! Indices out of range: whoever reads what came of one is told, on whatever thread, and nobody else.

mod common;

use common::device;
use osnova_tensor::{CrossEntropy, DType, Device, Error, Inputs, Op, Optimize, Real, Result, Tensor};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// More than there are slots for kernels that are watched at a time.
const MANY: usize = 3000;

/// The first device, for one test at a time: some count what `synchronize` tells. None where there is no Vulkan, or no index on the device.
fn alone() -> Option<(Device, MutexGuard<'static, ()>)> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let device = device()?;
    if !device.capabilities().dtypes.contains(DType::I64) {
        eprintln!("SKIPPED: this device has no i64");
        return None;
    }
    // What a test that failed has left behind.
    let _ = device.synchronize();
    Some((device, guard))
}

fn numbers(device: Device) -> Result<Tensor> {
    Tensor::new([1.0f32, 2.0, 3.0], device)
}

/// An element of `x`, by an index that may be out of range.
fn pick(x: &Tensor, index: i64) -> Result<Tensor> {
    x.index_select(0, &Tensor::new([index], x.device())?)
}

fn assert_told<T: std::fmt::Debug>(outcome: Result<T>, index: i64) {
    let error = outcome.expect_err("it rests on a wrong index");
    assert!(matches!(*error, Error::Argument { .. }), "{error}");
    assert!(error.to_string().contains(&format!("index {index} is out of range for axis")), "{error}");
}

#[test]
fn another_thread_that_reads_is_told_and_nobody_else() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let x = numbers(device)?;
    let (wrong, right) = (pick(&x, 7)?, pick(&x, 2)?);
    let read = |tensor: &Tensor| {
        let tensor = tensor.clone();
        thread::spawn(move || tensor.to_vec::<f32>()).join().expect("reading does not panic")
    };
    assert_told(read(&wrong), 7);
    assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
    assert_eq!(read(&right)?, [3.0]);
    // Every reader is told, as often as it reads: there is no value to be had.
    assert_told(read(&wrong), 7);
    assert_told(wrong.to_vec::<f32>(), 7);
    device.synchronize()
}

#[test]
fn the_thread_that_recorded_may_have_ended() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let x = numbers(device)?;
    let record = |index: i64| {
        let x = x.clone();
        thread::spawn(move || pick(&x, index)).join().expect("recording does not panic")
    };
    let (wrong, right) = (record(-1)?, record(0)?);
    assert_eq!(right.to_vec::<f32>()?, [1.0]);
    assert_told(wrong.to_vec::<f32>(), -1);
    Ok(())
}

/// Readers on several threads, each with wrong and right indices by turns, beside threads that wait for the device all the time.
#[test]
fn readers_beside_those_who_synchronize() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let x = numbers(device)?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // It may be told first of what a reader is about to read.
                    let _ = device.synchronize();
                }
            });
        }
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let x = &x;
                scope.spawn(move || -> Result<()> {
                    for round in 0..200i64 {
                        let wrong = 10 + reader * 1000 + round;
                        if round % 2 == 0 {
                            assert_told(pick(x, wrong)?.to_vec::<f32>(), wrong);
                        } else {
                            assert_eq!(pick(x, round % 3)?.to_vec::<f32>()?, [(round % 3 + 1) as f32]);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        let outcomes: Vec<_> = readers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        outcomes.into_iter().try_for_each(|outcome| outcome.expect("no reader panics"))
    })?;
    let _ = device.synchronize();
    device.synchronize()
}

/// More than are watched at a time, none of them read before all are recorded.
#[test]
fn more_than_there_are_slots() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let x = numbers(device)?;
    let indices = Tensor::arange_of(0, 1, MANY, DType::I64, device)?;
    // Of each second one the index is 0, 1 or 2.
    let picked = |at: usize| -> Result<Tensor> {
        let index = indices.narrow(0, if at.is_multiple_of(2) { at + 3 } else { at % 3 }, 1)?;
        x.index_select(0, &index)
    };
    let all: Vec<Tensor> = (0..MANY - 3).map(picked).collect::<Result<_>>()?;
    for (at, picked) in all.iter().enumerate() {
        if at.is_multiple_of(2) {
            assert_told(picked.to_vec::<f32>(), at as i64 + 3);
        } else {
            assert_eq!(picked.to_vec::<f32>()?, [(at % 3 + 1) as f32]);
        }
    }
    // Each was told to its reader.
    device.synchronize()
}

#[test]
fn many_threads_use_up_the_slots() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let x = numbers(device)?;
    let wrong = Tensor::new([9i64], device)?;
    let right = Tensor::new([1i64], device)?;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let all: Vec<Tensor> = (0..800)
                        .map(|at| x.index_select(0, if at % 7 == 0 { &wrong } else { &right }))
                        .collect::<Result<_>>()?;
                    for (at, picked) in all.iter().enumerate() {
                        if at % 7 == 0 {
                            assert_told(picked.to_vec::<f32>(), 9);
                        } else {
                            assert_eq!(picked.to_vec::<f32>()?, [2.0]);
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    device.synchronize()
}

#[test]
fn what_nobody_reads_is_told_by_synchronize_once() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let x = numbers(device)?;
    let kept = pick(&x, 5)?;
    assert_told(device.synchronize(), 5);
    device.synchronize()?;
    // Its reader is told all the same.
    assert_told(kept.to_vec::<f32>(), 5);

    thread::scope(|scope| scope.spawn(|| pick(&x, 6).map(drop)).join()).expect("it does not panic")?;
    drop((pick(&x, 7)?, pick(&x, 1)?, pick(&x, -8)?));
    let message = device.synchronize().expect_err("three were wrong").to_string();
    assert!(message.contains("index 6 is out of range for axis 0 of size 3"), "{message}");
    assert!(message.contains("2 more operations") && message.contains("index -8"), "{message}");
    device.synchronize()?;

    for index in 10..1010 {
        pick(&x, index)?;
    }
    let message = device.synchronize().expect_err("a thousand were wrong").to_string();
    assert!(message.contains("999 more operations") && message.len() < 500, "{message}");
    device.synchronize()
}

/// Computed from it by every kind of kernel: views, in place, several inputs, several outputs, on another device.
#[test]
fn whatever_is_computed_from_it_is_refused() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let x = numbers(device)?;
    let square = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], device)?;
    let wrong = || square.index_select(0, &Tensor::new([0i64, 4], device)?);
    type Derive<'a> = &'a dyn Fn(Tensor) -> Result<Tensor>;
    let derived: [Derive<'_>; 14] = [
        &|y| y.exp(),
        &|y| (&square + y)?.relu()?.sum(0isize, false),
        &|y| y.transpose(0, 1),
        &|y| y.narrow(0, 0, 1),
        &|y| y.transpose(0, 1)?.contiguous(),
        &|y| square.matmul(&y),
        &|y| y.matmul(&square),
        &|y| Tensor::concat(&[square.clone(), y], 0),
        &|y| y.to_dtype(DType::I32)?.to_dtype(DType::F32),
        &|y| Ok(y.sort(0, false)?.0),
        &|y| y.softmax(1),
        &|y| square.index_add(0, &Tensor::new([0i64, 1], device)?, &y),
        &|y| y.mean(.., false)?.expand([2, 3]),
        &|y| y.cumsum(1),
    ];
    for (at, derive) in derived.iter().enumerate() {
        let tensor = derive(wrong()?)?;
        assert!(tensor.to_host().is_err(), "derivation {at}");
        assert_told(tensor.to_host(), 4);
        // From inputs that are right the same is right.
        derive(square.index_select(0, &Tensor::new([1i64, 0], device)?)?)?.to_host()?;
    }
    // The last handle is written to in place.
    let mut y = wrong()?;
    for _ in 0..5 {
        y = device.apply(&Op::Unary(osnova_tensor::Unary::Neg), [y].into_iter().collect())?.remove(0);
    }
    assert_told(y.to_vec::<f32>(), 4);
    assert_told(y.to_device(<Device as osnova_reference::ReferenceDevice>::reference()), 4);
    assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
    device.synchronize()
}

/// As an index, as a label, as a base that is added to, along a chain of watched kernels much longer than a batch.
#[test]
fn chains_of_watched_kernels() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let all = Tensor::new([0i64, 1, 2], device)?;
    for (first, wrong) in [(2i64, false), (3, true)] {
        let mut values = Tensor::new([0.0f32, 1.0, 2.0], device)?;
        values = values.index_select(0, &Tensor::new([0, 1, first], device)?)?;
        let mut index = all.index_select(0, &all)?;
        for _ in 0..300 {
            values = values.index_select(0, &index)?;
            index = index.gather(0, &all)?;
        }
        // The index alone is right.
        assert_eq!(index.to_vec::<i64>()?, [0, 1, 2]);
        if wrong {
            assert_told(values.to_vec::<f32>(), 3);
        } else {
            assert_eq!(values.to_vec::<f32>()?, [0.0, 1.0, 2.0]);
        }
    }
    device.synchronize()
}

/// A buffer that a wrong result leaves goes to somebody else.
#[test]
fn buffers_carry_nothing_on() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let x = numbers(device)?;
    for _ in 0..100 {
        drop(pick(&x, 3)?);
        assert_eq!((&x + &x)?.to_vec::<f32>()?, [2.0, 4.0, 6.0]);
        assert_eq!(pick(&x, 2)?.to_vec::<f32>()?, [3.0]);
    }
    assert!(device.synchronize().is_err());
    device.synchronize()
}

/// A wrong label spoils loss and gradient, and with them what an optimizer updates; another model on the device goes on.
#[test]
fn a_wrong_label_spoils_what_learned_from_it() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let logits = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], device)?;
    let gradient_for = |label: i64| -> Result<[Tensor; 2]> {
        let options = CrossEntropy { with_gradient: true, ..CrossEntropy::default() };
        let target = Tensor::new([0, label], device)?;
        let outputs = Tensor::apply(&Op::CrossEntropy(options), [logits.clone(), target])?;
        Ok([outputs[0].clone(), outputs[1].clone()])
    };
    let step = |gradient: Tensor| -> Result<Tensor> {
        let rule = Optimize::Sgd { momentum: Real::new(0.0), nesterov: false, weight_decay: Real::new(0.0) };
        let scalars = Tensor::new([0.1f32, 1.0], device)?;
        // The last handle on the parameter.
        let parameter = (&logits + 1.0)?;
        Ok(device.apply(&Op::Optimize(rule), Inputs::from_iter([scalars, parameter, gradient]))?.remove(0))
    };
    let [wrong_loss, wrong_gradient] = gradient_for(2)?;
    let [right_loss, right_gradient] = gradient_for(1)?;
    let (spoilt, sound) = (step(wrong_gradient.clone())?, step(right_gradient)?);
    assert!(right_loss.to_vec::<f32>()?[0].is_finite());
    assert_eq!(sound.to_vec::<f32>()?.len(), 4);
    for tensor in [wrong_loss, wrong_gradient, spoilt] {
        assert_told(tensor.to_vec::<f32>(), 2);
    }
    device.synchronize()
}

/// A training step whose faults are known is carried no further: nothing slows down, and nothing is kept.
#[test]
fn right_indices_leave_nothing_behind() -> Result<()> {
    let Some((device, _guard)) = alone() else { return Ok(()) };
    let mut table = Tensor::from_vec((0..12).map(|at| at as f32).collect::<Vec<_>>(), [4, 3], device)?;
    for round in 0..200i64 {
        let index = Tensor::new([round % 4, (round + 1) % 4], device)?;
        let rows = table.index_select(0, &index)?;
        table = table.index_add(0, &index, &(rows * 0.5)?)?;
        if round % 50 == 0 {
            assert!(table.to_vec::<f32>()?.iter().all(|value| value.is_finite()));
        }
    }
    device.synchronize()
}
