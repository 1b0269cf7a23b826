//! Files changed at random, as an accident or an attacker would: read without a panic, in memory that their length
//! bounds. A short run is a part of every test; `PROPTEST_CASES` makes it longer.

use osnova_checkpoint::{Checkpoint, CheckpointDirectory, TensorFile, save_tensors};
use osnova_cpu::CpuDevice;
use osnova_nn::{Linear, Module};
use osnova_tensor::{Device, Generator, Tensor};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Counts what a thread has allocated, now and at most.
struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no counters any more.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(now.get())));
    });
}

// SAFETY: every call is passed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that reading takes: a multiple of the file, and what the largest number of entries takes.
const MULTIPLE: usize = 6;
const BESIDES: usize = 96 << 20;

/// Runs a reader, and holds its memory and its message against their bounds.
fn bounded<T>(bytes: usize, read: impl FnOnce() -> osnova_checkpoint::Result<T>) -> Option<T> {
    let before = NOW.get();
    MOST.set(before);
    let result = catch_unwind(AssertUnwindSafe(read)).expect("a reader has panicked");
    let taken = (MOST.get() - before) as usize;
    assert!(taken <= MULTIPLE * bytes + BESIDES, "{taken} bytes of memory for a file of {bytes}");
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            for message in [error.to_string(), format!("{error:?}")] {
                assert!(message.chars().count() < 4000, "{} characters", message.chars().count());
                assert!(!message.contains(char::is_control), "{message:?}");
            }
            None
        }
    }
}

fn with_header(header: &[u8], data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// One change of a file.
#[derive(Clone, Debug)]
enum Change {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    /// Copies a piece to another place.
    Splice(usize, usize, usize),
    /// Puts something extreme where a number stands.
    Number(usize, &'static str),
    Repeat(usize, usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let extremes = proptest::sample::select(vec![
        "0",
        "-1",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775807",
        "4294967296",
        "1e999",
        "-0.0",
        "1.5",
        "null",
        "[]",
        "{}",
        "\"\"",
        "\"\\u001b[2J\"",
        "true",
        "[[[[",
        "NaN",
    ]);
    prop_oneof![
        (any::<usize>(), 0u8..8).prop_map(|(place, bit)| Change::Flip(place, bit)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<usize>(), any::<usize>(), 1usize..64).prop_map(|(from, to, length)| Change::Splice(from, to, length)),
        (any::<usize>(), extremes).prop_map(|(place, extreme)| Change::Number(place, extreme)),
        (any::<usize>(), 1usize..32, 2usize..2000).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match change {
        Change::Flip(place, bit) => bytes[place % length] ^= 1 << bit,
        Change::Cut(place) => bytes.truncate(place % length),
        Change::Insert(place, new) => drop(bytes.splice(place % length..place % length, new.iter().copied())),
        Change::Splice(from, to, count) => {
            let from = from % length;
            let piece = bytes[from..(from + count).min(length)].to_vec();
            bytes.splice(to % length..to % length, piece);
        }
        Change::Number(place, extreme) => {
            let numbers: Vec<usize> = (0..length)
                .filter(|&at| bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit()))
                .collect();
            if let Some(&at) = numbers.get(place % numbers.len().max(1)) {
                let end = (at..length).find(|&end| !bytes[end].is_ascii_digit()).unwrap_or(length);
                bytes.splice(at..end, extreme.bytes());
            }
        }
        Change::Repeat(place, count, times) => {
            let at = place % length;
            let piece = bytes[at..(at + count).min(length)].repeat(*times);
            bytes.splice(at..at, piece);
        }
    }
}

/// Gives a safetensors file the length of its header anew, so that changes reach what lies behind that check.
fn mend_header_length(bytes: &mut [u8]) {
    if let Some(end) = bytes.iter().rposition(|&byte| byte == b'}')
        && end >= 8
    {
        let length = (end - 7) as u64;
        bytes[..8].copy_from_slice(&length.to_le_bytes());
    }
}

fn sample_file() -> Vec<u8> {
    let (directory, device) = (tempfile::tempdir().unwrap(), Device::cpu());
    let path = directory.path().join("x");
    let tensors = [
        ("weight", Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], device).unwrap()),
        ("count", Tensor::new([1i64, 2, 3], device).unwrap()),
        ("mask", Tensor::new([true, false], device).unwrap()),
    ];
    save_tensors(&path, tensors, &[("format".to_owned(), "pt".to_owned())].into()).unwrap();
    fs::read(path).unwrap()
}

fn sample_checkpoint(path: &Path) {
    let model = Linear::new(3, 2, &Generator::new(0), Device::cpu()).unwrap();
    let mut checkpoint = Checkpoint::new(5, 1);
    checkpoint.put_model(&model);
    checkpoint.put("numbers", &vec![1u64, 2, 3]).unwrap();
    checkpoint.put_tensors("optimizer", [("moment", Tensor::new([1.0f32], Device::cpu()).unwrap())]).unwrap();
    checkpoint.set_metric("loss", f64::NAN);
    checkpoint.set_metric("accuracy", 0.5);
    checkpoint.set_metadata(serde_json::json!({"command": ["train", "--seed", "1"]}));
    checkpoint.save(path).unwrap();
}

/// The hash file of a forger, who can compute SHA-256 too.
fn forge_hash(file: &Path) {
    let hash: String = Sha256::digest(fs::read(file).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(file.with_file_name(format!("{}.sha256", file.file_name().unwrap().to_str().unwrap())), hash).unwrap();
}

proptest! {
    #[test]
    fn changed_safetensors_files(changes in proptest::collection::vec(change(), 1..5), mend in any::<bool>()) {
        let mut bytes = sample_file();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        if mend && bytes.len() >= 8 {
            mend_header_length(&mut bytes);
        }
        if let Some(file) = bounded(bytes.len(), || TensorFile::from_bytes(&bytes, "changed")) {
            let data: usize = file.tensors.values().map(|tensor| tensor.values.as_bytes().len()).sum();
            prop_assert!(data <= bytes.len());
        }
    }

    #[test]
    fn changed_checkpoints(
        changes in proptest::collection::vec(change(), 1..4), file in 0usize..4, forged in any::<bool>()
    ) {
        let directory = tempfile::tempdir().unwrap();
        let checkpoints = CheckpointDirectory::create(directory.path()).unwrap();
        let path = directory.path().join("000000-step-5");
        sample_checkpoint(&path);
        let name = ["checkpoint.json", "checkpoint.json", "model.safetensors", "checkpoint.json.sha256"][file];
        let changed = path.join(name);
        let mut bytes = fs::read(&changed).unwrap();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        fs::write(&changed, &bytes).unwrap();
        if forged && name == "checkpoint.json" {
            forge_hash(&changed);
        }
        let total: usize = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len() as usize).sum();
        bounded(total, || checkpoints.entries()?[0].metric("loss"));
        if let Some(checkpoint) = bounded(total, || Checkpoint::load(&path)) {
            bounded(total, || checkpoint.get::<Vec<u64>>("numbers"));
            let mut model = Linear::new(3, 2, &Generator::new(1), Device::cpu()).unwrap();
            let before = model.random_state();
            bounded(total, || checkpoint.restore_model(&mut model));
            prop_assert_eq!(model.random_state(), before);
        }
    }
}

/// Texts of megabytes whose every few bytes would become an entry of a map, a list or a tensor.
#[test]
fn large_headers_take_memory_in_proportion() {
    const BYTES: usize = 8 << 20;
    let until = |piece: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        for number in 0.. {
            if text.len() > BYTES {
                break;
            }
            if number > 0 {
                text.push(',');
            }
            text += &piece(number);
        }
        text
    };
    let long = "x".repeat(BYTES);
    let tensor = |name: &str, dtype: &str, shape: &str| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,0]}}"#)
    };
    let headers = [
        format!("{{{}}}", until(&|number| tensor(&format!("{number:x}"), "U8", "[0]"))),
        format!("{{{}}}", tensor("a", "U8", &format!("[{}]", until(&|_| "0".to_owned())))),
        format!("{{{}}}", tensor(&long, "U8", "[1]")),
        format!("{{{}}}", tensor("a", &long, "[0]")),
        format!("{{{}}}", tensor("a", "U8", &format!("\"{long}\""))),
        format!(r#"{{"a":{{"{long}":0}}}}"#),
        format!(r#"{{"__metadata__":{{{}}}}}"#, until(&|number| format!(r#""{number:x}":"""#))),
        format!(r#"{{"__metadata__":{{"{long}":"","{long}":""}}}}"#),
        format!(r#"{{"__metadata__":{{"a":[{}]}}}}"#, until(&|_| "0".to_owned())),
        format!("{{{},{}}}", tensor(&long, "U8", "[0]"), tensor(&long, "U8", "[0]")),
        "[".repeat(BYTES),
    ];
    for header in headers {
        let bytes = with_header(header.as_bytes(), 0);
        assert!(bounded(bytes.len(), || TensorFile::from_bytes(&bytes, "large")).is_none(), "{}", &header[..99]);
    }
    // As many tensors as may be, all without data.
    let most = (0..1 << 17).map(|number| tensor(&format!("{number:x}"), "U8", "[0]")).collect::<Vec<_>>().join(",");
    let bytes = with_header(format!("{{{most}}}").as_bytes(), 0);
    assert_eq!(bounded(bytes.len(), || TensorFile::from_bytes(&bytes, "most")).unwrap().tensors.len(), 1 << 17);
}

#[test]
fn large_checkpoint_files_take_memory_in_proportion() {
    const ENTRIES: usize = 4 << 20;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    sample_checkpoint(&path);
    let file = path.join("checkpoint.json");
    let json = fs::read_to_string(&file).unwrap();
    let zeros = format!("[{}0]", "0,".repeat(ENTRIES));
    let many = (0..ENTRIES / 4).map(|number| format!("\"{number:x}\":0")).collect::<Vec<_>>().join(",");
    let notes = json.split_once("\"metadata\": ").unwrap().1.trim_end().strip_suffix('}').unwrap();
    let changes = [
        (notes, zeros.clone()),
        (notes, format!("{{{many}}}")),
        ("\"accuracy\": 0.5", many.clone()),
        ("\"accuracy\": 0.5", format!("\"a\": {zeros}")),
        ("\"accuracy\": 0.5", format!("\"{}\": \"fast\"", "x".repeat(ENTRIES))),
        ("\"accuracy\": 0.5", format!("\"a\": \"{}\"", "x".repeat(ENTRIES))),
        ("\"parts\": {", format!("\"parts\": {{{many},")),
        ("\"random\": [", format!("\"random\": [{}", "[\"\",{\"seed\":0,\"counter\":0}],".repeat(ENTRIES / 8))),
        ("\"step\": 5", format!("\"step\": 5, \"{}\": 0", "x".repeat(ENTRIES))),
        ("osnova-checkpoint", "x".repeat(ENTRIES)),
    ];
    for (from, to) in changes {
        assert!(json.contains(from), "{from}");
        fs::write(&file, json.replacen(from, &to, 1)).unwrap();
        forge_hash(&file);
        let bytes = fs::metadata(&file).unwrap().len() as usize;
        assert!(bounded(bytes, || Checkpoint::load(&path)).is_none(), "{from}: {}", &to[..50]);
    }
    // A part is text until someone asks for it.
    fs::write(&file, json.replacen("[1,2,3]", &zeros, 1)).unwrap();
    forge_hash(&file);
    let bytes = fs::metadata(&file).unwrap().len() as usize;
    let checkpoint = bounded(bytes, || Checkpoint::load(&path)).unwrap();
    assert_eq!(bounded(8 * bytes, || checkpoint.get::<Vec<u64>>("numbers")).unwrap().len(), ENTRIES + 1);
}
