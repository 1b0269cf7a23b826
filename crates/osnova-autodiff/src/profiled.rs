//! The device that counts and times operations.

use crate::checked::Held;
use crate::device::{Wrappers, inside, run};
use osnova_tensor::{
    Backend, Capabilities, Device, HostData, Inputs, Meta, Op, Outputs, Result, Shape, Tensor, Wrapper,
};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

static DEVICES: Wrappers<&'static Profiled> = Wrappers::new();

/// Adds profiling to [`Device`].
pub trait ProfiledDevice {
    /// The device that counts and times every operation on this one, and, with the feature `tracing`, opens a span for each (level `TRACE`, target
    /// `osnova`, name `operation`, with the operation's name and the output's shape). An asynchronous device is waited for after each operation.
    ///
    /// Devices that differentiate stay outermost: on a recording device this gives `inner.profiled().autodiff()`, so that the backward pass is counted too. Two
    /// calls on one device give the same device and one table.
    fn profiled(self) -> Device;

    /// The table so far, of this device or the profiled one inside it; `None` where there is none.
    fn report(self) -> Option<Report>;

    /// Empties the table.
    fn reset_report(self);
}

impl ProfiledDevice for Device {
    fn profiled(self) -> Device {
        match inside(self, |inner| inner.profiled()) {
            Some(device) => device,
            None => {
                let make = |inner| {
                    let backend: &'static Profiled =
                        Box::leak(Box::new(Profiled { inner, table: Mutex::new(HashMap::new()) }));
                    (Device::from_static(backend), backend)
                };
                DEVICES.of(self, make).0
            }
        }
    }

    fn report(self) -> Option<Report> {
        let table = profiled(self)?.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut operations: Vec<_> = table.values().copied().collect();
        operations.sort_by(|left, right| right.time.cmp(&left.time).then(left.name.cmp(right.name)));
        Some(Report { operations })
    }

    fn reset_report(self) {
        if let Some(profiled) = profiled(self) {
            profiled.table.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

fn profiled(device: Device) -> Option<&'static Profiled> {
    DEVICES.find(device).or_else(|| profiled(device.inner()?))
}

/// What [`ProfiledDevice::report`] gives: the operations, the longest total time first. `Display` shows it as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One row for each operation that ran.
    pub operations: Vec<OperationProfile>,
}

/// One operation's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationProfile {
    /// The operation's name.
    pub name: &'static str,
    /// How often it ran.
    pub count: u64,
    /// The time it took in all.
    pub time: Duration,
    /// Bytes of all its inputs, each element once. Views count nothing.
    pub bytes_read: u64,
    /// Bytes of all its outputs. Views count nothing.
    pub bytes_written: u64,
}

impl Report {
    /// The row of an operation.
    pub fn operation(&self, name: &str) -> Option<&OperationProfile> {
        self.operations.iter().find(|operation| operation.name == name)
    }

    /// The time of all operations.
    pub fn time(&self) -> Duration {
        self.operations.iter().map(|operation| operation.time).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.time().as_secs_f64();
        let width = self.operations.iter().map(|operation| operation.name.len()).max().unwrap_or(0).max(9);
        writeln!(
            f,
            "{:width$} {:>9} {:>11} {:>7} {:>10} {:>10} {:>10} {:>8}",
            "operation", "count", "total", "share", "each", "read", "written", "GB/s"
        )?;
        for row in &self.operations {
            let seconds = row.time.as_secs_f64();
            let share = if total > 0.0 { 100.0 * seconds / total } else { 0.0 };
            let rate = if seconds > 0.0 { (row.bytes_read + row.bytes_written) as f64 / seconds / 1e9 } else { 0.0 };
            writeln!(
                f,
                "{:width$} {:>9} {:>11} {:>5.1} % {:>10} {:>10} {:>10} {:>8.2}",
                row.name,
                row.count,
                time(seconds),
                share,
                time(seconds / row.count.max(1) as f64),
                bytes(row.bytes_read),
                bytes(row.bytes_written),
                rate
            )?;
        }
        write!(
            f,
            "{:width$} {:>9} {:>11}",
            "total",
            self.operations.iter().map(|operation| operation.count).sum::<u64>(),
            time(total)
        )
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{s:.3} s"),
        s if s >= 1e-3 => format!("{:.3} ms", s * 1e3),
        s if s >= 1e-6 => format!("{:.2} µs", s * 1e6),
        s => format!("{:.0} ns", s * 1e9),
    }
}

fn bytes(count: u64) -> String {
    match count as f64 {
        c if c >= 1e9 => format!("{:.2} GB", c / 1e9),
        c if c >= 1e6 => format!("{:.2} MB", c / 1e6),
        c if c >= 1e3 => format!("{:.2} kB", c / 1e3),
        c => format!("{c} B"),
    }
}

#[derive(Debug)]
struct Profiled {
    inner: Device,
    table: Mutex<HashMap<&'static str, OperationProfile>>,
}

impl Backend for Profiled {
    fn name(&self) -> String {
        format!("profiled({})", self.inner)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn claims(&self, op: &Op, inputs: &[Tensor]) -> bool {
        // What the inner device takes apart is taken apart here: then each part has its row.
        self.inner.backend().claims(op, &Held::unwrap_clones(self, inputs))
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Ok(Held::wrap(device, self.inner.backend().upload(self.inner, data, shape)?))
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        let inner = Held::unwrap(tensor.clone());
        inner.device().backend().download(&inner)
    }

    fn synchronize(&self) -> Result<()> {
        self.inner.synchronize()
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        let inputs = Held::unwrap_all(device, inputs);
        let size = |shape: &Shape, dtype: osnova_tensor::DType| (shape.count() * dtype.size()) as u64;
        let (read, written) = if op.is_view() {
            (0, 0)
        } else {
            (
                inputs.iter().map(|input| size(input.shape(), input.dtype())).sum(),
                outputs.iter().map(|meta| size(&meta.shape, meta.dtype)).sum(),
            )
        };
        #[cfg(feature = "tracing")]
        let _entered = tracing::trace_span!(
            target: "osnova",
            "operation",
            name = op.name(),
            shape = outputs.first().map(|meta| tracing::field::debug(meta.shape)),
        )
        .entered();
        let start = Instant::now();
        let results = run(self.inner, op, inputs, outputs)?;
        if self.capabilities().asynchronous {
            self.inner.synchronize()?;
        }
        let time = start.elapsed();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let empty =
            OperationProfile { name: op.name(), count: 0, time: Duration::ZERO, bytes_read: 0, bytes_written: 0 };
        let row = table.entry(op.name()).or_insert(empty);
        row.count += 1;
        row.time += time;
        row.bytes_read += read;
        row.bytes_written += written;
        drop(table);
        Ok(results.into_iter().map(|inner| Held::wrap(device, inner)).collect())
    }

    fn as_wrapper(&self) -> Option<&dyn Wrapper> {
        Some(self)
    }
}

impl Wrapper for Profiled {
    fn inner(&self) -> Device {
        self.inner
    }

    fn wrap(&self, device: Device, inner: Tensor) -> Tensor {
        Held::wrap(device, inner)
    }

    fn unwrap(&self, tensor: Tensor) -> Tensor {
        Held::unwrap(tensor)
    }
}
