//! Which kernel multiplies: a rule by shape alone, the same on every device.

/// How many workgroups fill a large device: about one for each of its multiprocessors (132 on an H100, 84 on an RTX 3090).
const WORKGROUPS: u64 = 128;
/// Parts of the inner axis are at least this long: each costs a pass over its results, which the products must outweigh.
const PART: u32 = 512;
/// Below this length the inner axis stays whole, as llama.cpp found best.
const SPLIT_INNER: u32 = 2048;
/// Parts at most.
const MOST_PARTS: u32 = 8;
/// Products of fewer multiplications take one thread for each result: a tile would be mostly edges, and its pipeline, one for
/// each way in which operands lie, takes longer to make than many such products.
const SMALL: u64 = 1 << 15;
/// But not beyond this length of the inner axis, which a thread goes along alone.
const SMALL_INNER: u32 = 256;
/// Lengths of parts are multiples of every tile's depth.
pub(crate) const PART_STEP: u32 = 64;

/// The size of a product: `[batches, rows, inner] × [batches, inner, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Size {
    pub(crate) batches: u32,
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    pub(crate) inner: u32,
}

impl Size {
    pub(crate) fn multiplications(self) -> u64 {
        [self.rows, self.columns, self.inner]
            .into_iter()
            .fold(u64::from(self.batches), |product, size| product.saturating_mul(u64::from(size)))
    }
}

/// The tile of the result that a workgroup computes. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tile {
    /// 128 × 128 in steps of 8: the most work for each element read.
    Large,
    /// The same in steps of 16, where the device shares enough memory.
    Deep,
    /// 64 × 128.
    Wide,
    /// 64 × 64.
    Medium,
    /// 32 × 32, by 64 threads.
    Small,
    /// 16 × 128, for few rows.
    Flat,
    /// 128 × 16, for few columns.
    Tall,
}

/// The specialisation constants of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TileShape {
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    /// Steps along the inner axis.
    pub(crate) depth: u32,
    pub(crate) thread_rows: u32,
    pub(crate) thread_columns: u32,
    /// How many of 32 neighbouring threads lie across.
    pub(crate) lanes: u32,
}

impl TileShape {
    pub(crate) fn threads(self) -> u32 {
        (self.rows / self.thread_rows) * (self.columns / self.thread_columns)
    }

    /// Bytes of shared memory, for elements computed with in `size` bytes: two stages of both operands, each row a four longer.
    pub(crate) fn shared_bytes(self, size: u32) -> u32 {
        2 * self.depth * (self.rows + 4 + self.columns + 4) * size
    }

    /// Tiles down and across.
    pub(crate) fn tiles(self, size: Size) -> (u32, u32) {
        (size.rows.div_ceil(self.rows), size.columns.div_ceil(self.columns))
    }

    /// Whether tiles and steps end where the matrices do.
    pub(crate) fn is_aligned(self, size: Size) -> bool {
        size.rows.is_multiple_of(self.rows)
            && size.columns.is_multiple_of(self.columns)
            && size.inner.is_multiple_of(self.depth)
    }
}

impl Tile {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 7] =
        [Self::Large, Self::Deep, Self::Wide, Self::Medium, Self::Small, Self::Flat, Self::Tall];

    /// For elements computed with in `size` bytes, 4 or 8: those of 8 take half the steps, in the same memory.
    pub(crate) fn shape(self, size: u32) -> TileShape {
        let (rows, columns, depth, [thread_rows, thread_columns], lanes) = match self {
            Self::Large => (128, 128, 8, [8, 8], 8),
            Self::Deep => (128, 128, 16, [8, 8], 8),
            Self::Wide => (64, 128, 16, [8, 4], 8),
            Self::Medium => (64, 64, 16, [4, 4], 8),
            Self::Small => (32, 32, 16, [4, 4], 8),
            Self::Flat => (16, 128, 16, [4, 4], 8),
            Self::Tall => (128, 16, 16, [4, 4], 4),
        };
        TileShape { rows, columns, depth: depth * 4 / size, thread_rows, thread_columns, lanes }
    }

    /// What else may be faster where the rule takes this one, of what fits `shared` bytes of shared memory.
    pub(crate) fn others(self, size: u32, shared: u32) -> impl Iterator<Item = Self> {
        let others: &[Self] = match self {
            Self::Large | Self::Deep => &[Self::Deep, Self::Wide, Self::Medium],
            Self::Wide | Self::Medium => &[Self::Wide, Self::Large, Self::Small],
            Self::Small => &[Self::Medium],
            Self::Flat | Self::Tall => &[Self::Small],
        };
        let fits = move |tile: &Self| {
            // 64 results of 8 bytes are more than a thread has registers for.
            let few_enough = size == 4 || !matches!(tile, Self::Large | Self::Deep);
            *tile != self && few_enough && tile.shape(size).shared_bytes(size) <= shared
        };
        others.iter().copied().filter(fits)
    }
}

/// How a product is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A thread for each result.
    Small,
    /// One of the matrices is a vector.
    Vector,
    /// By cooperative matrices, of a device that has them.
    Cooperative,
    /// By tiles, the inner axis in parts of `part` each.
    Tiles { tile: Tile, part: u32 },
}

impl Way {
    /// The rule, for elements computed with in `element` bytes; `split`: whether the inner axis may be split. It decides alone
    /// whether that happens, because parts change the order of the sum and so the last bits.
    pub(crate) fn by_shape(size: Size, element: u32, split: bool) -> Self {
        if size.inner <= SMALL_INNER && size.multiplications() < SMALL {
            return Self::Small;
        }
        if size.rows == 1 || size.columns == 1 {
            return Self::Vector;
        }
        let tiles = |tile: Tile| {
            let (down, across) = tile.shape(element).tiles(size);
            u64::from(down) * u64::from(across) * u64::from(size.batches)
        };
        let fills_half = |tile: Tile| tiles(tile) >= WORKGROUPS / 2;
        let long = split && size.inner >= SPLIT_INNER;
        let tile = match size.rows.min(size.columns) {
            _ if size.rows <= 16 => Tile::Flat,
            _ if size.columns <= 16 => Tile::Tall,
            ..=32 => Tile::Small,
            65.. if element == 4 && fills_half(Tile::Large) => Tile::Large,
            // Parts fill a device better than small tiles do.
            _ if fills_half(Tile::Medium) || long => Tile::Medium,
            _ => Tile::Small,
        };
        let mut part = size.inner;
        if long && !fills_half(tile) {
            let parts = (WORKGROUPS / tiles(tile)).min(u64::from(MOST_PARTS.min(size.inner / PART))) as u32;
            part = size.inner.div_ceil(parts).next_multiple_of(PART_STEP).min(size.inner);
        }
        Self::Tiles { tile, part }
    }
}

/// Threads for each result of a product with a vector; `along_inner`: whether the matrix lies along the inner axis. `rows` are
/// those of all batches.
pub(crate) fn vector_ways(rows: u64, inner: u32, along_inner: bool) -> u32 {
    /// Elements for each thread, in fours: enough loads under way.
    const EACH: u32 = 16;
    if along_inner {
        return (inner / EACH).clamp(8, 256).next_power_of_two().min(256);
    }
    // 32 rows side by side read whole cache lines; 8 still read whole sectors, and give four times the workgroups.
    let groups = rows / 32;
    if groups < WORKGROUPS / 2 && inner >= 1024 { 32 } else { 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(rows: u32, columns: u32, inner: u32) -> Way {
        Way::by_shape(Size { batches: 1, rows, columns, inner }, 4, true)
    }

    fn tiles(tile: Tile, part: u32) -> Way {
        Way::Tiles { tile, part }
    }

    #[test]
    fn the_shape_decides() {
        assert_eq!(way(30, 20, 50), Way::Small);
        assert_eq!(way(1, 100, 100), Way::Small);
        assert_eq!(way(1, 1, 1000), Way::Vector);
        assert_eq!(way(1, 1000, 1000), Way::Vector);
        assert_eq!(way(1000, 1, 1000), Way::Vector);
        assert_eq!(way(4096, 4096, 4096), tiles(Tile::Large, 4096));
        assert_eq!(way(16, 8192, 1024), tiles(Tile::Flat, 1024));
        assert_eq!(way(8192, 10, 784), tiles(Tile::Tall, 784));
        assert_eq!(way(32, 8192, 1024), tiles(Tile::Small, 1024));
        assert_eq!(way(64, 8192, 1024), tiles(Tile::Medium, 1024));
        // 16 large tiles leave most of a device idle.
        assert_eq!(way(512, 512, 512), tiles(Tile::Medium, 512));
        assert_eq!(way(128, 128, 512), tiles(Tile::Small, 512));
    }

    #[test]
    fn a_long_inner_axis_is_split_where_tiles_are_few() {
        assert_eq!(way(128, 128, 8192), tiles(Tile::Medium, 1024));
        assert_eq!(way(16, 16, 4096), tiles(Tile::Flat, 512));
        assert_eq!(way(16, 16, 2047), tiles(Tile::Flat, 2047));
        assert_eq!(way(16, 4096, 4096), tiles(Tile::Flat, 1024));
        // Parts are multiples of a step, the last one is shorter.
        assert_eq!(way(16, 16, 2050), tiles(Tile::Flat, 576));
        let size = Size { batches: 1, rows: 16, columns: 16, inner: 4096 };
        assert_eq!(Way::by_shape(size, 4, false), tiles(Tile::Flat, 4096));
        let many = Size { batches: 64, ..size };
        assert_eq!(Way::by_shape(many, 4, true), tiles(Tile::Flat, 4096));
    }

    #[test]
    fn what_the_rule_takes_fits_every_device() {
        for tile in Tile::ALL {
            for element in [4, 8] {
                let shape = tile.shape(element);
                assert!(shape.threads() <= 256 && shape.threads().is_multiple_of(32), "{tile:?}");
                assert!(PART_STEP.is_multiple_of(shape.depth), "{tile:?}");
                // A block of 32 threads is a rectangle in the tile.
                let (down, across) = (shape.rows / shape.thread_rows, shape.columns / shape.thread_columns);
                assert!(down.is_multiple_of(32 / shape.lanes) && across.is_multiple_of(shape.lanes), "{tile:?}");
            }
            let chosen_at_8 = !matches!(tile, Tile::Large | Tile::Deep);
            assert!(tile == Tile::Deep || tile.shape(4).shared_bytes(4) <= 32 << 10, "{tile:?}");
            assert!(!chosen_at_8 || tile.shape(8).shared_bytes(8) <= 32 << 10, "{tile:?}");
        }
        let large = Size { batches: 1, rows: 4096, columns: 4096, inner: 64 };
        assert_eq!(Way::by_shape(large, 8, true), tiles(Tile::Medium, 64));
    }

    #[test]
    fn what_is_measured_fits_the_device() {
        let others = |tile: Tile, size, shared| tile.others(size, shared).collect::<Vec<_>>();
        assert_eq!(others(Tile::Large, 4, 48 << 10), [Tile::Deep, Tile::Wide, Tile::Medium]);
        assert_eq!(others(Tile::Large, 4, 32 << 10), [Tile::Wide, Tile::Medium]);
        assert_eq!(others(Tile::Medium, 8, 32 << 10), [Tile::Wide, Tile::Small]);
    }

    #[test]
    fn threads_of_vectors_divide_a_workgroup() {
        for inner in [1, 7, 100, 784, 1000, 4096, 1 << 20] {
            for along in [true, false] {
                let ways = vector_ways(4096, inner, along);
                assert!(256u32.is_multiple_of(ways) && ways.is_power_of_two(), "{inner}");
            }
        }
        assert_eq!(vector_ways(100, 4096, true), 256);
        assert_eq!(vector_ways(100, 4096, false), 32);
        assert_eq!(vector_ways(1 << 20, 4096, false), 8);
    }
}
