//! Single operations and a training step on a device of any kind, in sizes that fit it.

use crate::workloads::{Step, mlp_step, normal};
use osnova::prelude::*;
use std::time::{Duration, Instant};

/// What bounds a workload: those bound alike are held against the fastest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Memory.
    Memory,
    /// Arithmetic in a dtype.
    Arithmetic(DType),
    /// Several things.
    Nothing,
}

/// A workload on a device.
pub struct Workload {
    /// Its name, also in `peers/torch_cuda_bench.py`.
    pub name: String,
    /// Floating-point operations of a step.
    pub operations: f64,
    /// Bytes that a step must read and write.
    pub bytes: f64,
    /// What bounds it.
    pub bound: Bound,
    prepare: Box<dyn Fn(Device) -> Result<Step>>,
}

/// The least number of elements of the workloads that memory bounds.
const FEWEST: usize = 1 << 18;
/// Columns of rows that are summed or normalised.
const COLUMNS: usize = 4096;
/// The shape of a transformer's feed-forward layer: m, n, k.
const FEED_FORWARD: [usize; 3] = [4096, 512, 14336];

/// All workloads with matrices up to `largest` rows and columns.
pub fn workloads(largest: usize) -> Vec<Workload> {
    let mut all = memory_bound((largest * largest).max(FEWEST));
    for dtype in [DType::F32, DType::F16] {
        let squares = [64, 128, 256, 512, 1024, 2048, 4096, 8192].into_iter();
        // The small ones are for devices that can do no more.
        let squares = squares.filter(|&size| size <= largest && (size >= 512 || largest < 512));
        all.extend(squares.map(|size| matmul(&format!("{size}"), [size; 3], dtype)));
        if largest >= FEED_FORWARD[0] {
            all.push(matmul("4096x512x14336", FEED_FORWARD, dtype));
        }
    }
    let parameters = 784 * 256 + 256 * 128 + 128 * 10;
    for batch in [32, 128] {
        all.push(Workload {
            name: format!("mlp_step_b{batch}"),
            // One product forward, two backward, of a multiplication and an addition each.
            operations: (6 * batch * parameters) as f64,
            bytes: 0.0,
            bound: Bound::Nothing,
            prepare: Box::new(move |device| mlp_step(device, batch)),
        });
    }
    all
}

/// Workloads on tensors of this many f32.
fn memory_bound(count: usize) -> Vec<Workload> {
    let workload = |name: &str, passes: usize, prepare: Box<dyn Fn(Device) -> Result<Step>>| Workload {
        name: name.into(),
        operations: 0.0,
        bytes: (passes * count * DType::F32.size()) as f64,
        bound: Bound::Memory,
        prepare,
    };
    /// A step on one tensor of `[rows, COLUMNS]`.
    fn on_rows(count: usize, work: fn(&Tensor) -> Result<Tensor>) -> Box<dyn Fn(Device) -> Result<Step>> {
        Box::new(move |device| {
            let x = normal([count / COLUMNS, COLUMNS], device)?;
            Ok(Box::new(move || work(&x).map(drop)))
        })
    }
    fn on_two(count: usize, work: fn(&Tensor, &Tensor) -> Result<Tensor>) -> Box<dyn Fn(Device) -> Result<Step>> {
        Box::new(move |device| {
            let (x, y) = (normal([count], device)?, normal([count], device)?);
            Ok(Box::new(move || work(&x, &y).map(drop)))
        })
    }
    vec![
        // Two tensors read, one of twice the size written.
        workload("copy", 4, on_two(count, |x, y| Tensor::concat(&[x, y], 0))),
        workload("add", 3, on_two(count, |x, y| x + y)),
        workload("gelu", 2, on_rows(count, |x| x.gelu(true))),
        workload("sum_rows", 1, on_rows(count, |x| x.sum(1, false))),
        workload("sum_columns", 1, on_rows(count, |x| x.sum(0, false))),
        workload("sum_all", 1, on_rows(count, |x| x.sum(.., false))),
        workload("softmax", 2, on_rows(count, |x| x.softmax(-1))),
    ]
}

fn matmul(size: &str, [m, n, k]: [usize; 3], dtype: DType) -> Workload {
    Workload {
        name: format!("matmul_{dtype}_{size}"),
        operations: 2.0 * (m * n * k) as f64,
        bytes: ((m * k + k * n + m * n) * dtype.size()) as f64,
        bound: Bound::Arithmetic(dtype),
        prepare: Box::new(move |device| {
            let a = normal([m, k], device)?.to_dtype(dtype)?;
            let b = normal([k, n], device)?.to_dtype(dtype)?;
            Ok(Box::new(move || a.matmul(&b).map(drop)))
        }),
    }
}

impl Workload {
    /// Seconds a step takes: the median over rounds of so many steps that waiting for the device counts little.
    ///
    /// # Errors
    /// The device has no kernel for it, or too little memory.
    pub fn seconds(&self, device: Device, round: Duration, rounds: usize) -> Result<f64> {
        let mut step = (self.prepare)(device)?;
        let mut time = |steps: u32| -> Result<Duration> {
            let start = Instant::now();
            (0..steps).try_for_each(|_| step())?;
            device.synchronize()?;
            Ok(start.elapsed())
        };
        // The first makes pipelines.
        time(1)?;
        let mut steps = 1;
        loop {
            let took = time(steps)?;
            if took >= round {
                break;
            }
            let wanted = round.as_secs_f64() / took.as_secs_f64().max(1e-9) * 1.2;
            steps = (f64::from(steps) * wanted.clamp(1.5, 10.0)).ceil() as u32;
        }
        let mut times = Vec::with_capacity(rounds);
        for _ in 0..rounds.max(1) {
            times.push(time(steps)?.as_secs_f64() / f64::from(steps));
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_sizes_fit() {
        for (largest, products) in [(64, 2), (128, 4), (1024, 4), (8192, 12)] {
            let all = workloads(largest);
            let names: HashSet<&str> = all.iter().map(|workload| workload.name.as_str()).collect();
            assert_eq!(names.len(), all.len());
            assert_eq!(
                all.iter().filter(|workload| workload.name.starts_with("matmul")).count(),
                products,
                "{largest}"
            );
        }
    }

    #[test]
    fn all_run_on_the_cpu() {
        for workload in workloads(64) {
            let seconds = workload.seconds(Device::cpu(), Duration::from_micros(10), 1).unwrap();
            assert!(seconds > 0.0, "{}", workload.name);
        }
    }
}
