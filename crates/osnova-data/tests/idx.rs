//! IDX files as they should be, as they should not be, and as an attacker would make them.

use flate2::{Compression, write::GzEncoder};
use osnova_data::{DataError, Dataset, IdxArray, IdxData, IdxReader, Source, fashion_mnist, idx_images, mnist};
use proptest::prelude::*;
use std::cell::Cell;
use std::io::{Read, Write};
use std::path::Path;
use std::rc::Rc;

fn idx(code: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<IdxArray, DataError> {
    IdxReader::new().read_from(bytes, "test.idx").map(|(array, _)| array)
}

/// The reader of a test that wants to know how much was read.
struct Counting<R>(R, Rc<Cell<usize>>);

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.set(self.1.get() + count);
        Ok(count)
    }
}

#[test]
fn all_element_types_are_read_big_endian() {
    let check = |code, bytes: &[u8], expected: IdxData, floats: &[f32]| {
        let array = read(&idx(code, &[2], bytes)).unwrap();
        assert_eq!((&array.dims[..], &array.data), (&[2][..], &expected));
        assert_eq!(array.to_f32(), floats);
        let whole: Vec<i64> = floats.iter().map(|&value| value as i64).collect();
        assert_eq!(array.to_i64(), (code < 0x0D).then_some(whole));
    };
    check(0x08, &[1, 255], IdxData::U8(vec![1, 255]), &[1.0, 255.0]);
    check(0x09, &[1, 255], IdxData::I8(vec![1, -1]), &[1.0, -1.0]);
    check(0x0B, &[1, 0, 255, 254], IdxData::I16(vec![256, -2]), &[256.0, -2.0]);
    check(0x0C, &[0, 1, 0, 0, 255, 255, 255, 253], IdxData::I32(vec![65536, -3]), &[65536.0, -3.0]);
    let floats = [1.5f32.to_be_bytes(), (-2.25f32).to_be_bytes()].concat();
    check(0x0D, &floats, IdxData::F32(vec![1.5, -2.25]), &[1.5, -2.25]);
    let doubles = [1.5f64.to_be_bytes(), (-2.25f64).to_be_bytes()].concat();
    check(0x0E, &doubles, IdxData::F64(vec![1.5, -2.25]), &[1.5, -2.25]);
}

#[test]
fn any_number_of_dimensions_also_none_and_empty_ones() {
    assert_eq!(read(&idx(8, &[], &[7])).unwrap(), IdxArray { dims: vec![], data: IdxData::U8(vec![7]) });
    assert_eq!(read(&idx(8, &[0, 28, 28], &[])).unwrap().dims, [0, 28, 28]);
    assert_eq!(read(&idx(8, &[1; 255], &[7])).unwrap().dims, [1; 255]);
}

#[test]
fn a_file_cut_off_at_any_byte_is_refused() {
    let whole = idx(0x0B, &[2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    for length in 0..whole.len() {
        match read(&whole[..length]).unwrap_err() {
            DataError::Format { offset, problem, .. } => {
                assert_eq!(offset, length as u64);
                assert!(problem.contains("short"), "{problem}");
            }
            other => panic!("at {length}: {other}"),
        }
    }
    let zipped = gzip(&whole);
    for length in 0..zipped.len() {
        let error = read(&zipped[..length]).unwrap_err();
        assert!(matches!(error, DataError::Io { .. } | DataError::Format { .. }), "at {length}: {error}");
    }
    assert!(read(&whole).is_ok() && read(&zipped).is_ok());
}

#[test]
fn a_wrong_magic_number_is_refused() {
    for magic in [[0, 1, 8, 1], [1, 0, 8, 1], [0, 0, 7, 1], [0, 0, 0x0A, 1], [0, 0, 0x0F, 1], *b"PK\x03\x04"] {
        let mut bytes = idx(8, &[1], &[0]);
        bytes[..4].copy_from_slice(&magic);
        let error = read(&bytes).unwrap_err();
        assert!(matches!(error, DataError::Format { offset: 0, .. }), "{error}");
        assert!(error.to_string().contains("magic number"), "{error}");
    }
}

#[test]
fn archives_are_named() {
    for (start, what) in
        [(&b"\x28\xb5\x2f\xfd"[..], "zstd"), (b"\xfd7zXZ\0", "xz"), (b"PK\x03\x04", "zip"), (b"\x1f\x8b\x08", "gzip")]
    {
        // Plain gzip is read, so what starts like it inside of gzip is meant here.
        let bytes = [start, &[7; 1000]].concat();
        let error = read(&gzip(&bytes)).unwrap_err().to_string();
        assert!(error.contains("magic number") && error.contains(what) && error.contains("Unpack it"), "{error}");
    }
}

#[test]
fn messages_fit_a_screen() {
    let bytes = [idx(8, &[1; 255], &[7]), vec![0]].concat();
    let error = read(&bytes).unwrap_err().to_string();
    assert!(error.contains("goes on") && error.contains("(255 sizes)") && error.len() < 300, "{error}");
}

#[test]
fn gzip_may_be_filled_up_with_zeros_and_have_several_members() {
    let whole = idx(0x0B, &[2], &[1, 2, 3, 4]);
    let members = [gzip(&whole[..5]), gzip(&whole[5..])].concat();
    for zeros in [0, 1, 10_000] {
        assert_eq!(read(&[&members[..], &vec![0; zeros]].concat()).unwrap().dims, [2]);
    }
    assert!(matches!(read(&[&members[..], &[0, 0, 1]].concat()).unwrap_err(), DataError::Io { .. }));
    assert!(matches!(read(&[&members[..], &gzip(&[0])].concat()).unwrap_err(), DataError::Format { .. }));
}

#[test]
fn what_f32_does_not_hold_is_told_to_whoever_asks() {
    let array = |data| IdxArray { dims: vec![2], data };
    for held in [
        IdxData::I32(vec![16_777_216, i32::MIN]),
        IdxData::F64(vec![0.1, -1.234e30]),
        IdxData::F64(vec![f64::INFINITY, 0.0]),
        IdxData::U8(vec![0, 255]),
        IdxData::F32(vec![f32::MAX, 1e-45]),
    ] {
        let array = array(held);
        assert_eq!(array.try_to_f32().unwrap(), array.to_f32());
    }
    for lost in [
        IdxData::I32(vec![0, 16_777_217]),
        IdxData::I32(vec![1, i32::MAX]),
        IdxData::F64(vec![0.0, 1e39]),
        IdxData::F64(vec![0.0, -1e-50]),
        IdxData::F64(vec![0.0, 1_700_000_001.0]),
    ] {
        let error = array(lost).try_to_f32().unwrap_err().to_string();
        assert!(error.contains("element 1 is") && error.contains("it would become"), "{error}");
    }
}

#[test]
fn sizes_beyond_reason_are_refused_before_anything_is_read() {
    let too_large = |bytes: &[u8], reader: &IdxReader| match reader.read_from(bytes, "huge.idx").unwrap_err() {
        DataError::TooLarge { bytes, .. } => bytes,
        other => panic!("{other}"),
    };
    let reader = IdxReader::new();
    let most = u32::MAX;
    assert_eq!(too_large(&idx(8, &[most], &[]), &reader), Some(u64::from(most)));
    assert_eq!(too_large(&idx(8, &[most, most], &[]), &reader), Some(u64::from(most) * u64::from(most)));
    assert_eq!(too_large(&idx(8, &[most, most, most], &[]), &reader), None);
    assert_eq!(too_large(&idx(0x0E, &[1 << 31, 1 << 31], &[]), &reader), None);
    assert_eq!(too_large(&idx(8, &[most; 255], &[]), &reader), None);
    let small = IdxReader::new().max_bytes(11);
    assert_eq!(too_large(&idx(0x0C, &[3], &[0; 12]), &small), Some(12));
    assert!(small.read_from(&idx(8, &[11], &[0; 11])[..], "fits").is_ok());
    // A zero among the sizes is no way around the check of their product.
    assert_eq!(read(&idx(8, &[0, most, most], &[])).unwrap().dims[0], 0);
}

#[test]
fn a_large_claim_with_little_data_costs_little() {
    // Declares the whole allowed gibibyte. The reader must find out after 3 bytes, not after clearing a gibibyte:
    // a thousand such files are read in moments.
    let bytes = idx(8, &[1 << 30], &[1, 2, 3]);
    for _ in 0..1000 {
        assert!(matches!(read(&bytes).unwrap_err(), DataError::Format { offset: 11, .. }));
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let mut bytes = idx(8, &[2], &[1, 2]);
    bytes.push(0);
    for bytes in [bytes.clone(), gzip(&bytes)] {
        match read(&bytes).unwrap_err() {
            DataError::Format { offset: 10, problem, .. } => assert!(problem.contains("goes on"), "{problem}"),
            other => panic!("{other}"),
        }
    }
    let mut garbage_after_gzip = gzip(&idx(8, &[2], &[1, 2]));
    garbage_after_gzip.extend(b"garbage");
    assert!(matches!(read(&garbage_after_gzip).unwrap_err(), DataError::Io { .. }));
}

#[test]
fn a_gzip_bomb_is_not_decompressed() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&idx(8, &[10], &[])).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..256).for_each(|_| bomb.write_all(&zeros).unwrap());
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() > 200_000, "the bomb must be larger than the reader's buffers to show that it stops early");
    let read = Rc::new(Cell::new(0));
    let error = IdxReader::new().read_from(Counting(&bomb[..], read.clone()), "bomb.gz").unwrap_err();
    assert!(matches!(error, DataError::Format { offset: 18, .. }), "{error}");
    assert!(read.get() <= 1 << 16, "{} of {} compressed bytes were read", read.get(), bomb.len());
}

#[test]
fn a_damaged_gzip_checksum_is_noticed() {
    let mut zipped = gzip(&idx(8, &[3], &[1, 2, 3]));
    let checksum = zipped.len() - 8;
    zipped[checksum] ^= 1;
    assert!(matches!(read(&zipped).unwrap_err(), DataError::Io { .. }));
}

#[test]
fn the_source_is_the_whole_file() {
    let bytes = gzip(&idx(8, &[3], &[1, 2, 3]));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("three.gz");
    std::fs::write(&path, &bytes).unwrap();
    let (_, source) = IdxReader::new().read(&path).unwrap();
    assert_eq!(source, Source::of_file(&path).unwrap());
    assert_eq!((source.sha256, source.bytes), (Source::of_bytes("", &bytes).sha256, bytes.len() as u64));
    assert_eq!(source.name, "three.gz");
}

/// Writes the four files of a tiny MNIST, two of them compressed, and lets `change` spoil them.
fn tiny_mnist(change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(directory.path().join(name), change(name, bytes)).unwrap();
    write("train-images-idx3-ubyte.gz", gzip(&idx(8, &[3, 2, 2], &[0, 51, 102, 153, 204, 255, 0, 0, 1, 2, 3, 4])));
    write("train-labels-idx1-ubyte", idx(8, &[3], &[9, 0, 1]));
    write("t10k-images.idx3-ubyte", idx(8, &[1, 2, 2], &[5, 6, 7, 8]));
    write("t10k-labels-idx1-ubyte.gz", gzip(&idx(8, &[1], &[4])));
    directory
}

#[test]
fn mnist_is_read_under_its_usual_names() {
    let data = mnist(tiny_mnist(|_, bytes| bytes)).unwrap();
    assert_eq!((data.train.len(), data.train.feature_shape()), (3, &[2, 2][..]));
    assert_eq!(data.train.classes().unwrap(), [9, 0, 1]);
    let mut image = [0.0; 4];
    data.train.read_features(0, &mut image).unwrap();
    assert!(image.iter().zip([0.0, 0.2, 0.4, 0.6]).all(|(have, want)| (have - want).abs() < 1e-6));
    assert_eq!(data.train.sources().len(), 2);
    let (test, record) = data.test.open("test");
    assert_eq!((test.classes().unwrap(), record.samples, record.sources.len()), (vec![4], 1, 2));
    assert_eq!(record.indices_sha256, None);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let replace = |target: &'static str, new: Vec<u8>| {
        let directory = tiny_mnist(|name, bytes| if name == target { new.clone() } else { bytes });
        mnist(directory.path()).unwrap_err()
    };
    match replace("train-labels-idx1-ubyte", idx(8, &[2], &[9, 0])) {
        DataError::CountsDisagree { file, count: 3, other, other_count: 2 } => {
            assert!(file.ends_with("train-images-idx3-ubyte.gz") && other.ends_with("train-labels-idx1-ubyte"));
        }
        other => panic!("{other}"),
    }
    let label = replace("train-labels-idx1-ubyte", idx(8, &[3], &[9, 10, 1]));
    assert!(matches!(label, DataError::Format { offset: 9, .. }), "{label}");
    let floats = replace("t10k-images.idx3-ubyte", idx(0x0D, &[1, 2, 2], &[0; 16]));
    assert!(floats.to_string().contains("not unsigned bytes"), "{floats}");
    let swapped = replace("t10k-images.idx3-ubyte", idx(8, &[1], &[4]));
    assert!(swapped.to_string().contains("not the labels"), "{swapped}");
    let images = replace("train-labels-idx1-ubyte", idx(8, &[3, 1], &[0; 3]));
    assert!(images.to_string().contains("not the images"), "{images}");
}

#[test]
fn a_missing_file_is_named_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let message = fashion_mnist(directory.path()).unwrap_err().to_string();
    assert!(message.contains("train-images-idx3-ubyte") && message.contains("dataset-fashion-mnist"), "{message}");
    let missing = idx_images(directory.path().join("a"), directory.path().join("b"), 10).unwrap_err();
    assert!(matches!(missing, DataError::Io { .. }) && missing.to_string().contains("Check the path"), "{missing}");
}

/// Runs where Debian's package is installed.
#[test]
fn fashion_mnist_of_debian_is_read_whole() {
    let directory = Path::new("/usr/share/datasets/fashion-mnist");
    if !directory.is_dir() {
        eprintln!("skipped: the package dataset-fashion-mnist is not installed");
        return;
    }
    let data = fashion_mnist(directory).unwrap();
    assert_eq!((data.train.len(), data.train.feature_shape(), data.test.len()), (60_000, &[28, 28][..], 10_000));
    let mut counts = [0; 10];
    data.train.classes().unwrap().iter().for_each(|&class| counts[class as usize] += 1);
    assert_eq!(counts, [6000; 10]);
    assert_eq!(data.train.class_names().unwrap()[9], "Ankle boot");
    assert_eq!(data.train.read_class(0).unwrap(), 9);
    // The mean and standard deviation that everyone normalises with: 0.2860 and 0.3530.
    let pixels = data.train.pixels();
    let moment =
        |power| pixels.iter().map(|&pixel| (f64::from(pixel) / 255.0).powi(power)).sum::<f64>() / pixels.len() as f64;
    let (mean, square) = (moment(1), moment(2));
    assert!((mean - 0.2860).abs() < 1e-4 && ((square - mean * mean).sqrt() - 0.3530).abs() < 1e-4, "{mean} {square}");
}

proptest! {
    #[test]
    fn any_array_survives_plain_and_zipped(
        dims in prop::collection::vec(0u32..5, 0..4), seed in any::<u8>(), zipped in any::<bool>()
    ) {
        let count = dims.iter().product::<u32>() as usize;
        let data: Vec<u8> = (0..count).map(|index| (index as u8).wrapping_mul(37) ^ seed).collect();
        let bytes = idx(8, &dims, &data);
        let array = read(&if zipped { gzip(&bytes) } else { bytes }).unwrap();
        prop_assert_eq!(array.dims, dims.iter().map(|&dim| dim as usize).collect::<Vec<_>>());
        prop_assert_eq!(array.data, IdxData::U8(data));
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), zipped in any::<bool>(), head in any::<bool>()) {
        if head && bytes.len() > 3 {
            bytes[..3].copy_from_slice(&[0, 0, 8]);
        }
        let limit = 1 << 20;
        let reader = IdxReader::new().max_bytes(limit);
        let bytes = if zipped { gzip(&bytes) } else { bytes };
        if let Ok((array, _)) = reader.read_from(&bytes[..], "noise") {
            prop_assert!(array.to_f32().len() as u64 <= limit);
        }
    }
}
