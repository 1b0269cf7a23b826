//! Every tile, layout and way on the first device: against sums in f64, and to the bit against each other.

use super::choice::{PART_STEP, Size, Tile, Way};
use super::{Finish, Product, Tuned, product};
use crate::backend::Vulkan;
use crate::engine::Engine;
use crate::kernels::elementwise;
use osnova_tensor::{DType, Device, Meta, Result, Shape, Tensor};
use std::sync::OnceLock;

/// The first device with its engine; none where there is no Vulkan and nobody insists on it.
pub(super) fn device() -> Option<(&'static Engine, Device)> {
    static KNOWN: OnceLock<Option<(&'static Engine, Device)>> = OnceLock::new();
    *KNOWN.get_or_init(|| match Engine::open(0) {
        Ok(engine) => Some((engine, Device::intern(Vulkan(engine)))),
        Err(error) if std::env::var_os("OSNOVA_REQUIRE_VULKAN").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED, for want of a Vulkan device: {error}");
            None
        }
    })
}

/// Values between −1 and 1 that rounding shows on, the same at every call.
fn values(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 7919 + salt * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// A matrix of a batch, row-major or transposed in memory, and its values in row-major order.
fn matrices(
    batch: &[usize],
    rows: usize,
    columns: usize,
    swapped: bool,
    salt: usize,
    device: Device,
) -> Result<Tensor> {
    let last = if swapped { [columns, rows] } else { [rows, columns] };
    let dims: Vec<usize> = batch.iter().copied().chain(last).collect();
    let tensor = Tensor::from_vec(values(dims.iter().product(), salt), &dims[..], device)?;
    if swapped { tensor.transpose(-2, -1) } else { Ok(tensor) }
}

/// One product, computed in a given way.
fn run(engine: &Engine, device: Device, left: &Tensor, right: &Tensor, way: Way) -> Result<Vec<f32>> {
    let (made, output) = prepared(engine, device, left, right)?;
    made.run(engine, device, way, &output)?;
    output.to_dtype(DType::F32)?.to_vec::<f32>()
}

fn prepared(engine: &Engine, device: Device, left: &Tensor, right: &Tensor) -> Result<(Product, Tensor)> {
    let mut dims: Vec<usize> = left.dims().to_vec();
    let rank = dims.len();
    dims[rank - 1] = right.dims()[right.rank() - 1];
    let meta = Meta::new(Shape::new(&dims)?, left.dtype());
    let finish = Finish { bias: None, activation: elementwise::IDENTITY };
    Ok((product(engine, left, right, finish, &meta)?, engine.create(device, &meta)?))
}

/// The product in f64 on the host, of row-major values.
fn expected(left: &[f32], right: &[f32], size: [usize; 3]) -> Vec<f64> {
    let [rows, inner, columns] = size;
    let mut sums = vec![0.0; rows * columns];
    for row in 0..rows {
        for at in 0..inner {
            for column in 0..columns {
                sums[row * columns + column] +=
                    f64::from(left[row * inner + at]) * f64::from(right[at * columns + column]);
            }
        }
    }
    sums
}

fn assert_close(found: &[f32], expected: &[f64], inner: usize, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    // Elements are at most 1.
    let bound = inner as f64 * inner as f64 * f64::from(f32::EPSILON) + 1e-6;
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(found) - expected).abs() <= bound, "{what}: {found} for {expected} at {index}");
    }
}

fn tiles_that_fit(engine: &Engine) -> impl Iterator<Item = Tile> {
    let limit = engine.gpu.info.shared_memory;
    Tile::ALL.into_iter().filter(move |tile| tile.shape(4).shared_bytes(4) <= limit)
}

/// With edges everywhere, in fours with edges, and in fours without.
const SIZES: [[usize; 3]; 4] = [[17, 33, 65], [33, 128, 129], [36, 68, 44], [128, 64, 128]];
/// Each operand once row-major and once transposed: how one lies has nothing to do with the other, and each pair is a pipeline
/// that a software driver takes a second for.
const SWAPPED: [[bool; 2]; 2] = [[false, true], [true, false]];

/// Each way of reading the operands (row by row or across, in fours or one by one, with or without edges) in each tile.
#[test]
fn every_tile_gives_the_same_bits() -> Result<()> {
    let Some((engine, device)) = device() else { return Ok(()) };
    for size in SIZES {
        let [rows, inner, columns] = size;
        for swapped in SWAPPED {
            let left = matrices(&[], rows, inner, swapped[0], 1, device)?;
            let right = matrices(&[], inner, columns, swapped[1], 2, device)?;
            let exact = expected(&left.to_vec::<f32>()?, &right.to_vec::<f32>()?, size);
            let mut first: Option<Vec<f32>> = None;
            for tile in tiles_that_fit(engine) {
                let what = format!("{tile:?} of {size:?}, swapped {swapped:?}");
                let found = run(engine, device, &left, &right, Way::Tiles { tile, part: inner as u32 })?;
                assert_close(&found, &exact, inner, &what);
                let first = first.get_or_insert_with(|| found.clone());
                assert!(*first == found, "{what} differs from {:?}", Tile::ALL[0]);
            }
            assert!(
                first == Some(run(engine, device, &left, &right, Way::Small)?),
                "{size:?}, a thread for each result"
            );
        }
    }
    Ok(())
}

#[test]
fn other_dtypes() -> Result<()> {
    let Some((engine, device)) = device() else { return Ok(()) };
    let [rows, inner, columns] = [36, 20, 68];
    for dtype in [DType::F16, DType::BF16, DType::F64, DType::I64, DType::I32, DType::U8] {
        if !engine.gpu.info.dtypes.contains(dtype) {
            continue;
        }
        // Small integers: exact in every dtype but for the last rounding of half types.
        let small =
            |count: usize, salt: usize| -> Vec<f32> { (0..count).map(|at| ((at * 7 + salt) % 5) as f32).collect() };
        let left = Tensor::from_vec(small(rows * inner, 1), [rows, inner], device)?;
        let right = Tensor::from_vec(small(inner * columns, 3), [inner, columns], device)?;
        let exact = expected(&left.to_vec::<f32>()?, &right.to_vec::<f32>()?, [rows, inner, columns]);
        let (left, right) = (left.to_dtype(dtype)?, right.to_dtype(dtype)?);
        let rounded = osnova_tensor::HostData::from_f64(dtype, &exact).to_f64();
        let tiles = [Tile::Small, Tile::Wide].into_iter();
        for way in tiles.map(|tile| Way::Tiles { tile, part: inner as u32 }).chain([Way::Small, Way::Vector]) {
            // A vector is one row of the same.
            let (left, count) =
                if way == Way::Vector { (left.narrow(0, 0, 1)?, columns) } else { (left.clone(), rows * columns) };
            let found = run(engine, device, &left, &right, way)?;
            assert!(found.iter().zip(&rounded[..count]).all(|(&x, &y)| f64::from(x) == y), "{dtype}, {way:?}");
        }
    }
    Ok(())
}

#[test]
fn vectors() -> Result<()> {
    let Some((engine, device)) = device() else { return Ok(()) };
    for size in [[1, 300, 70], [70, 300, 1], [1, 1, 1], [1, 1024, 3], [5, 2048, 1], [1, 4, 600], [1, 6, 9]] {
        let [rows, inner, columns] = size;
        for swapped in [[false, false], [false, true], [true, false], [true, true]] {
            let left = matrices(&[], rows, inner, swapped[0], 1, device)?;
            let right = matrices(&[], inner, columns, swapped[1], 2, device)?;
            let exact = expected(&left.to_vec::<f32>()?, &right.to_vec::<f32>()?, size);
            let what = format!("{size:?}, swapped {swapped:?}");
            let by_vector = run(engine, device, &left, &right, Way::Vector)?;
            assert_close(&by_vector, &exact, inner, &what);
            assert_close(&run(engine, device, &left, &right, Way::Small)?, &exact, inner, &what);
        }
    }
    Ok(())
}

/// A batch against a batch, against one matrix, and against a batch that is repeated; also of vectors.
#[test]
fn batches() -> Result<()> {
    let Some((engine, device)) = device() else { return Ok(()) };
    let pairs = [(vec![2, 3], vec![2, 3]), (vec![2, 3], vec![]), (vec![2, 3], vec![3]), (vec![2, 1], vec![2, 3])];
    for (of_left, of_right) in pairs {
        for size in [[20, 12, 36], [1, 12, 36], [20, 12, 1]] {
            for swapped in [[false, false], [true, true]] {
                in_every_way(engine, device, size, [&of_left, &of_right], swapped)?;
            }
        }
    }
    Ok(())
}

fn in_every_way(
    engine: &Engine,
    device: Device,
    size: [usize; 3],
    batches: [&[usize]; 2],
    swapped: [bool; 2],
) -> Result<()> {
    let [rows, inner, columns] = size;
    let left = matrices(batches[0], rows, inner, swapped[0], 1, device)?.expand(&[2, 3, rows, inner][..])?;
    let right = matrices(batches[1], inner, columns, swapped[1], 2, device)?;
    let (xs, ys) = (left.to_vec::<f32>()?, right.expand(&[2, 3, inner, columns][..])?.to_vec::<f32>()?);
    let pairs = xs.chunks(rows * inner).zip(ys.chunks(inner * columns));
    let exact: Vec<f64> = pairs.flat_map(|(x, y)| expected(x, y, size)).collect();
    let made = prepared(engine, device, &left, &right)?.0;
    let tiles = [Tile::Medium, Tile::Flat].map(|tile| Way::Tiles { tile, part: inner as u32 });
    // One row for each of a batch that became one tall matrix is a vector no more.
    let vector = (made.size.rows == 1 || made.size.columns == 1).then_some(Way::Vector);
    for way in tiles.into_iter().chain([Way::Small]).chain(vector) {
        let found = run(engine, device, &left, &right, way)?;
        assert_close(&found, &exact, inner, &format!("{batches:?}, {size:?}, swapped {swapped:?}, {way:?}"));
    }
    Ok(())
}

/// The left operand of a batch against one matrix is one tall matrix, unless its rows lie unevenly.
#[test]
fn one_weight_for_a_batch_is_one_product() -> Result<()> {
    let Some((engine, device)) = device() else { return Ok(()) };
    let right = matrices(&[], 5, 7, true, 2, device)?;
    let batch = prepared(engine, device, &matrices(&[2, 3], 4, 5, false, 1, device)?, &right)?.0;
    assert_eq!(batch.size, Size { batches: 1, rows: 24, columns: 7, inner: 5 });
    let uneven = prepared(engine, device, &matrices(&[2, 3], 4, 5, true, 1, device)?, &right)?.0;
    assert_eq!(uneven.size, Size { batches: 6, rows: 4, columns: 7, inner: 5 });
    Ok(())
}

#[test]
fn parts_of_the_inner_axis() -> Result<()> {
    let Some((engine, device)) = device() else { return Ok(()) };
    for (size, part) in [([16, 4096, 16], None), ([20, 200, 12], Some(PART_STEP)), ([17, 130, 19], Some(PART_STEP))] {
        let [rows, inner, columns] = size;
        let left = matrices(&[], rows, inner, false, 1, device)?;
        let right = matrices(&[], inner, columns, true, 2, device)?;
        let rule = Way::by_shape(prepared(engine, device, &left, &right)?.0.size, 4, true);
        let way = part.map_or(rule, |part| Way::Tiles { tile: Tile::Small, part });
        assert!(matches!(way, Way::Tiles { part, .. } if part < inner as u32), "{way:?}");
        let exact = expected(&left.to_vec::<f32>()?, &right.to_vec::<f32>()?, size);
        let found = run(engine, device, &left, &right, way)?;
        assert_close(&found, &exact, inner, &format!("{size:?}"));
        assert!(found == run(engine, device, &left, &right, way)?, "a second run gives other bits");
    }
    Ok(())
}

/// On a software driver nothing is measured by itself; here it is.
#[test]
fn a_tile_is_measured_once() -> Result<()> {
    let Some((engine, device)) = device() else { return Ok(()) };
    let (left, right) = (matrices(&[], 36, 68, false, 1, device)?, matrices(&[], 68, 44, true, 2, device)?);
    let (made, output) = prepared(engine, device, &left, &right)?;
    let tuned = Tuned::default();
    let tile = tuned.tile(engine, device, &made, Tile::Small, &output)?;
    assert!(matches!(tile, Tile::Small | Tile::Medium), "{tile:?}");
    // Known now: the rule's tile is not asked for again.
    assert_eq!(tuned.tile(engine, device, &made, Tile::Large, &output)?, tile);
    let way = Way::Tiles { tile: Tile::Small, part: 68 };
    assert!(output.to_vec::<f32>()? == run(engine, device, &left, &right, way)?);
    Ok(())
}
