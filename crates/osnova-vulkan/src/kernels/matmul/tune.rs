//! Which of a few tiles is fastest here, measured once for each class of products.
//!
//! Measuring cannot change results: all tiles give the same bits (see [`Tile`]), and whether a product is split, which would
//! change them, is never measured. `OSNOVA_VULKAN_AUTOTUNE=0` leaves the choice to the rule by shape.

use super::Product;
use super::choice::{Tile, Way};
use super::dispatch::computed_bytes;
use crate::engine::Engine;
use crate::gpu::Kind;
use osnova_tensor::{DType, Device, Error, Result, Tensor};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Products of fewer multiplications (256³) take the rule's tile: they end before a difference could be measured.
const MEASURED_ABOVE: u64 = 1 << 24;
/// A measurement holds about this many multiplications, or one product: a millisecond on a fast device.
const MEASURED_WORK: u64 = 1 << 33;
/// Products between two waits at most.
const MOST_REPEATS: u64 = 16;
/// Measurements of each tile, of which the shortest counts.
const ROUNDS: usize = 3;

/// Products that are alike: the sizes rounded up to powers of two, the dtype, how the operands lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Class {
    dtype: DType,
    sizes: [u32; 4],
    along_inner: [bool; 2],
    fours: [bool; 2],
}

impl Class {
    fn of(product: &Product) -> Self {
        let Product { dtype, size, left, right, .. } = product;
        let sizes = [size.batches, size.rows, size.columns, size.inner]
            .map(|size| size.max(1).ilog2() + u32::from(!size.is_power_of_two()));
        Self {
            dtype: *dtype,
            sizes,
            along_inner: [left.along_inner, right.along_inner],
            fours: [left.fours, right.fours],
        }
    }
}

/// The tiles that were chosen, kept as long as the device.
#[derive(Debug, Default)]
pub(crate) struct Tuned(Mutex<HashMap<Class, Tile>>);

impl Tuned {
    fn known(&self) -> MutexGuard<'_, HashMap<Class, Tile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tile for a product, measured now if this is the first of its class. `output` is written to.
    pub(super) fn tile(
        &self,
        engine: &Engine,
        device: Device,
        product: &Product,
        rule: Tile,
        output: &Tensor,
    ) -> Result<Tile> {
        let class = Class::of(product);
        if let Some(&tile) = self.known().get(&class) {
            return Ok(tile);
        }
        // Not under the lock: other threads go on meanwhile. If two measure at once, the first to end decides.
        let tile = fastest(engine, device, product, rule, output)?;
        Ok(*self.known().entry(class).or_insert(tile))
    }
}

/// Whether `OSNOVA_VULKAN_AUTOTUNE` lets products be measured, read once; none for a value that says nothing.
fn wanted() -> Option<bool> {
    static WANTED: OnceLock<Option<bool>> = OnceLock::new();
    *WANTED.get_or_init(|| match std::env::var_os("OSNOVA_VULKAN_AUTOTUNE") {
        None => Some(true),
        Some(value) => match value.to_str()? {
            "" | "1" => Some(true),
            "0" => Some(false),
            _ => None,
        },
    })
}

/// Refuses a value of the variable that says nothing.
pub(crate) fn check_variable(device: &str) -> Result<()> {
    match wanted() {
        Some(_) => Ok(()),
        None => Err(Error::device(
            device,
            "OSNOVA_VULKAN_AUTOTUNE has a value that says nothing",
            "Set it to 0 for no measuring, to 1, or unset it",
        )),
    }
}

/// Whether products of this size are measured on this device.
pub(super) fn is_worthwhile(engine: &Engine, product: &Product) -> bool {
    engine.gpu.info.kind != Kind::Software
        && product.size.multiplications() >= MEASURED_ABOVE
        && wanted().unwrap_or(true)
}

fn fastest(engine: &Engine, device: Device, product: &Product, rule: Tile, output: &Tensor) -> Result<Tile> {
    let mut best = (rule, time(engine, device, product, rule, output)?);
    let limit = engine.gpu.info.shared_memory;
    for tile in rule.others(computed_bytes(product.dtype), limit) {
        // A driver that cannot make a pipeline of it has decided.
        if let Ok(taken) = time(engine, device, product, tile, output)
            && taken < best.1
        {
            best = (tile, taken);
        }
    }
    Ok(best.0)
}

/// The shortest time of some products in a row.
fn time(engine: &Engine, device: Device, product: &Product, tile: Tile, output: &Tensor) -> Result<Duration> {
    let way = Way::Tiles { tile, part: product.size.inner };
    let repeats = (MEASURED_WORK / product.size.multiplications().max(1)).clamp(1, MOST_REPEATS);
    let run = |count: u64| -> Result<Duration> {
        let start = Instant::now();
        (0..count).try_for_each(|_| product.run(engine, device, way, output))?;
        engine.stream.synchronize()?;
        Ok(start.elapsed())
    };
    // The first makes the pipeline, and waits for what was recorded before.
    run(1)?;
    let mut shortest = Duration::MAX;
    for _ in 0..ROUNDS {
        shortest = shortest.min(run(repeats)?);
    }
    Ok(shortest)
}
