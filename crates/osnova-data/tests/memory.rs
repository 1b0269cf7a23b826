//! What reading costs in memory, and what happens where it ends. One test, for the allocator counts all threads.

use flate2::{Compression, write::GzEncoder};
use osnova_data::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what is allocated, and refuses the `REFUSE`-th large piece from now on (counted from 1; 0 means it was).
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static REFUSE: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Smaller pieces are always to be had: buffers of readers, and messages.
const LARGE: usize = 1 << 17;

impl Counting {
    fn refuses(size: usize) -> bool {
        size >= LARGE && REFUSE.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1)
    }

    fn count(size: usize) {
        let held = HELD.fetch_add(size, Relaxed) + size;
        PEAK.fetch_max(held, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with the arguments it came with, or, as it may, fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::refuses(layout.size()) {
            return std::ptr::null_mut();
        }
        Self::count(layout.size());
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the pointer came from `System`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that is allocated at any moment of a call, beyond what was before.
fn peak<T>(call: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = call();
    (PEAK.load(Relaxed) - before, result)
}

/// A text made while it is read, so that it takes little memory itself: `head`, then `piece` again and again.
fn repeated(head: &'static str, piece: &'static str, bytes: usize) -> impl Read {
    let block = Cycle { block: piece.as_bytes().repeat(1 << 12), position: 0 };
    head.as_bytes().chain(block.take(bytes as u64))
}

fn boxed(head: &'static str, piece: &'static str, bytes: usize) -> Box<dyn Read> {
    Box::new(repeated(head, piece, bytes))
}

struct Cycle {
    block: Vec<u8>,
    position: usize,
}

impl Read for Cycle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = (&self.block[self.position..]).read(buffer)?;
        self.position = (self.position + count) % self.block.len();
        Ok(count)
    }
}

fn zipped(mut content: impl Read) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::copy(&mut content, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

const MIB: usize = 1 << 20;

/// What a table may take at most: four times the limit, and buffers.
fn bound(limit: usize) -> usize {
    4 * limit.max(MIB) + 4 * MIB
}

fn reads_stay_within_the_limit() {
    let limit = 16 * MIB;
    let plain = || CsvReader::new().has_header(false).max_bytes(limit as u64);
    let named = || CsvReader::new().max_bytes(limit as u64);
    let nan = || plain().missing_values(MissingValues::Nan);
    let wide = usize::MAX;
    let cases: Vec<(&str, CsvReader, Box<dyn Read>)> = vec![
        ("one row of numbers", plain(), boxed("", "1,", 15 * MIB)),
        ("one row of numbers, wanted", plain().max_columns(wide), boxed("", "1,", 15 * MIB)),
        ("one row of nothing, wanted", nan().max_columns(wide), boxed("", ",", 15 * MIB)),
        ("a header of nothing", named(), boxed("", ",", 15 * MIB)),
        ("a header of nothing, wanted", named().max_columns(wide), boxed("", ",", 15 * MIB)),
        ("a second row of nothing", named(), boxed("a,b\n", ",", 15 * MIB)),
        ("rows of one number", plain(), boxed("", "1\n", 15 * MIB)),
        ("rows of nothing", nan(), boxed("", ",\n", 15 * MIB)),
        ("rows of nothing, categorical", nan().categorical([0]), boxed("", ",\n", 15 * MIB)),
        ("target numbers", plain().target_values([Column::Last]), boxed("", "1,1\n", 15 * MIB)),
        ("classes", plain().target_classes(Column::Last), boxed("", "1,b\n", 15 * MIB)),
        ("a header cell", named(), boxed("", "x", 15 * MIB)),
        ("a quoted cell of lines", named(), boxed("a\n\"", "x\n", 15 * MIB)),
        ("a quoted cell of lines, ignored", named().ignore(["b"]), boxed("a,b\n1,\"", "x\n", 15 * MIB)),
        ("a quoted cell of quotes", named(), boxed("a\n\"", "\"\"", 15 * MIB)),
        ("lines of nothing", plain(), boxed("", "\n", 15 * MIB)),
        ("zeros without end", plain(), boxed("", "\0", usize::MAX)),
        ("nothing but commas without end", plain(), boxed("", ",", usize::MAX)),
        ("rows without end", plain(), boxed("", "1\n", usize::MAX)),
        ("an ignored cell without end", named().ignore(["b"]), boxed("a,b\n1,\"", "x\n", usize::MAX)),
    ];
    for (name, reader, text) in cases {
        let (bytes, result) = peak(|| reader.read_from(text, name));
        assert!(bytes <= bound(limit), "{name}: {} MiB, {result:?}", bytes / MIB);
    }
    // Labels that all differ: more of them than the limit has room for.
    let labels: String = (0..600_000).map(|index| format!("{index}\n")).collect();
    for reader in [plain().categorical([0]), CsvReader::new().has_header(false).categorical([0])] {
        let (bytes, result) = peak(|| reader.read_from(labels.as_bytes(), "labels"));
        let room = if result.is_ok() { 600_000 * 64 + labels.len() } else { limit };
        assert!(bytes <= bound(room), "labels: {} MiB, {result:?}", bytes / MIB);
    }
}

fn reads_cost_little_more_than_the_input() {
    let default = CsvReader::new;
    let cases: Vec<(&str, CsvReader, Box<dyn Read>, usize)> = vec![
        // 50 MB each: once 12 to 48 times as much.
        ("one row of 25 million cells", default().has_header(false), boxed("", "1,", 50_000_000), 64 * MIB),
        ("a header of 25 million cells", default(), boxed("", "a,", 50_000_000), 64 * MIB),
        ("a quoted cell of 50 MB, ignored", default().ignore(["b"]), boxed("a,b\n1,\"", "x\n", 50_000_000), 4 * MIB),
        ("a quoted cell of 50 MB", default(), boxed("a\n\"", "x\n", 50_000_000), 4 * MIB),
        ("a header cell of 50 MB", default(), boxed("", "x", 50_000_000), 4 * MIB),
        ("25 million numbers", default().has_header(false), boxed("", "1\n", 50_000_000), 450 * MIB),
    ];
    for (name, reader, text, most) in cases {
        let (bytes, result) = peak(|| reader.read_from(text, name));
        assert!(bytes <= most, "{name}: {} MiB, {result:?}", bytes / MIB);
    }
    // A small file that is large once unpacked.
    let bomb = zipped(repeated("", ",", 100_000_000));
    let (bytes, result) = peak(|| default().read_from(&bomb[..], "bomb.csv.gz"));
    assert!(result.is_err() && bytes <= 64 * MIB, "{} MiB", bytes / MIB);
    let bomb = zipped(repeated("", "\0", 100_000_000));
    let (bytes, result) = peak(|| IdxReader::new().read_from(&bomb[..], "bomb.idx.gz"));
    assert!(result.is_err() && bytes <= 4 * MIB, "{} MiB", bytes / MIB);
    for (code, size) in [(8u8, 1), (9, 1), (0x0b, 2), (0x0c, 4), (0x0d, 4), (0x0e, 8)] {
        let count = 32 * MIB / size;
        let head = [&[0, 0, code, 1][..], &(count as u32).to_be_bytes()].concat();
        let content = (&head[..]).chain(repeated("", "\0", 32 * MIB));
        let (bytes, result) = peak(|| IdxReader::new().read_from(content, "numbers.idx"));
        assert!(result.is_ok() && bytes <= 52 * MIB, "code {code}: {} MiB", bytes / MIB);
    }
}

/// Runs a call with its first large allocation refused, then with its second, and so on: never the end of the process,
/// always an error, until there is none left to refuse.
fn refuse_one_after_the_other<T>(name: &str, mut call: impl FnMut() -> Result<T>) {
    for refused in 1..1000 {
        REFUSE.store(refused, Relaxed);
        let result = call();
        let was_refused = REFUSE.swap(usize::MAX, Relaxed) == 0;
        match result {
            Ok(_) => {
                assert!(refused > 1 && !was_refused, "{name}: refusal {refused} of a large allocation went unnoticed");
                return;
            }
            Err(error) => {
                assert!(was_refused && error.to_string().contains("memory"), "{name}, refusal {refused}: {error}");
            }
        }
    }
    panic!("{name}: there is no end of large allocations");
}

fn where_memory_ends_there_is_an_error() {
    let numbers: String = (0..200_000).map(|row| format!("{row},{},c{}\n", row * 7, row % 5)).collect();
    let table = || CsvReader::new().has_header(false);
    refuse_one_after_the_other("features", || table().ignore([2]).read_from(numbers.as_bytes(), "t"));
    refuse_one_after_the_other("values", || table().ignore([2]).target_values([1]).read_from(numbers.as_bytes(), "t"));
    refuse_one_after_the_other("classes", || table().target_classes(2).read_from(numbers.as_bytes(), "t"));
    refuse_one_after_the_other("labels", || table().categorical([0, 2]).read_from(numbers.as_bytes(), "t"));
    let wide = format!("{}1\n{}1\n", "column,".repeat(50_000), "1,".repeat(50_000));
    refuse_one_after_the_other("columns", || CsvReader::new().read_from(wide.as_bytes(), "t"));
    let long = format!("a,b\n1,{}\n", "x".repeat(700_000));
    refuse_one_after_the_other("a long cell", || CsvReader::new().target_classes("b").read_from(long.as_bytes(), "t"));
    for code in [8u8, 0x0d, 0x0e] {
        let size = if code == 8 { 1 } else { 4 * usize::from(code - 0x0c) };
        let head = [&[0, 0, code, 1][..], &(4u32 << 20).to_be_bytes()].concat();
        let content = [&head[..], &vec![0; (4 << 20) * size]].concat();
        refuse_one_after_the_other("idx", || IdxReader::new().read_from(&content[..], "i"));
    }
    let data = ArrayDataset::regression(vec![1.0; 400_000], [4], vec![1.0; 100_000], 1).unwrap();
    refuse_one_after_the_other("from_dataset", || ArrayDataset::from_dataset(&data));
    refuse_one_after_the_other("apply", || StandardScaler::new().fit(&data)?.apply(&data));
    refuse_one_after_the_other("transform", || MinMaxScaler::new().fit(&data)?.transform(data.features()));
    let median = || SimpleImputer::new().strategy(ImputeStrategy::Median).fit(&data);
    refuse_one_after_the_other("median", median);
    let classes: Vec<i64> = (0..200_000).map(|sample| sample % 7).collect();
    let labelled = ArrayDataset::classification(vec![1.0; 200_000], [1], classes, 7).unwrap();
    for options in [SplitOptions::shuffled(0), SplitOptions::stratified(0), SplitOptions::in_order()] {
        refuse_one_after_the_other("split", || {
            train_validation_test_split(labelled.clone(), [0.4, 0.3, 0.3], &options).map(|split| split.train.len())
        });
    }
    refuse_one_after_the_other("folds", || KFold::new(5).shuffle(0).folds(&labelled).map(drop));
    refuse_one_after_the_other("stratified folds", || StratifiedKFold::new(5).shuffle(0).folds(&labelled).map(drop));
    refuse_one_after_the_other("time series", || TimeSeriesSplit::new(5).folds(&labelled).map(drop));
    for workers in [0, 2] {
        let epoch = || -> Result<Vec<Batch>> {
            DataLoader::new(data.clone(), 60_000)?.shuffle(0).workers(workers).batches().collect()
        };
        refuse_one_after_the_other("loader", epoch);
    }
}

#[test]
fn memory_is_bounded_and_its_end_is_an_error() {
    reads_stay_within_the_limit();
    reads_cost_little_more_than_the_input();
    where_memory_ends_there_is_an_error();
}
