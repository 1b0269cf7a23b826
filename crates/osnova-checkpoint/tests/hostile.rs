//! Files that lie, are cut short or damaged: a typed error each, never a panic and never a huge allocation.

use osnova_checkpoint::{Checkpoint, CheckpointDirectory, CheckpointError, TensorFile, load_tensors, save_tensors};
use osnova_cpu::CpuDevice;
use osnova_nn::{Linear, Module};
use osnova_tensor::{Device, Generator, Tensor};
use std::fs;
use std::path::{Path, PathBuf};

/// A safetensors file with this header and data.
fn file(header: &[u8], data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn read(header: &str, data: usize) -> CheckpointError {
    TensorFile::from_bytes(&file(header.as_bytes(), data), "hostile").expect_err(header)
}

/// The header breaks the format, and the message says where and how.
fn breaks_format(header: &str, data: usize, says: &str) {
    let error = read(header, data);
    assert!(matches!(error, CheckpointError::Format { .. }), "{header}: {error:?}");
    let text = error.to_string();
    assert!(text.contains(says) && text.starts_with("hostile, byte "), "{header}: {text}");
}

fn sample() -> Vec<(&'static str, Tensor)> {
    let device = Device::cpu();
    vec![
        ("a", Tensor::new([[1.0f32, -2.0], [3.5, f32::NAN]], device).unwrap()),
        ("b", Tensor::new([1i64, -7, 1 << 40], device).unwrap()),
        ("c", Tensor::new([true, false, true], device).unwrap()),
        ("empty", Tensor::from_vec(Vec::<f32>::new(), [0, 3], device).unwrap()),
    ]
}

fn saved(directory: &Path) -> PathBuf {
    let path = directory.join("sample.safetensors");
    save_tensors(&path, sample(), &[("note".to_owned(), "héllo \"quoted\"".to_owned())].into()).unwrap();
    path
}

fn bits(file: &TensorFile) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let tensors = file.tensors.iter();
    tensors.map(|(name, x)| (name.clone(), x.shape.dims().to_vec(), x.values.as_bytes().to_vec())).collect()
}

#[test]
fn lengths_that_lie() {
    for length in [1 << 63, u64::MAX, 100_000_001, u64::MAX - 7] {
        let mut bytes = file(b"{}", 0);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        let error = TensorFile::from_bytes(&bytes, "hostile").unwrap_err();
        assert!(matches!(error, CheckpointError::Format { offset: 0, .. }), "{error:?}");
        assert!(error.to_string().contains(&length.to_string()));
    }
    for length in [3u64, 1000, 100_000_000] {
        let mut bytes = file(b"{}", 0);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        let error = TensorFile::from_bytes(&bytes, "hostile").unwrap_err();
        let CheckpointError::Truncated { needed, found, .. } = error else { panic!("{error:?}") };
        assert_eq!((needed, found), (8 + length, 10));
    }
    for bytes in [&b""[..], &[0; 7]] {
        let error = TensorFile::from_bytes(bytes, "hostile").unwrap_err();
        assert!(matches!(error, CheckpointError::Truncated { needed: 8, .. }), "{error:?}");
    }
    breaks_format("", 0, "begin with `{`");
}

#[test]
fn headers_that_lie() {
    let tensor = |name: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"U8","shape":[{}],"data_offsets":[{start},{end}]}}"#, end.wrapping_sub(start))
    };
    let header = |parts: &[String]| format!("{{{}}}", parts.join(","));

    breaks_format(&header(&[tensor("a", 0, 4), tensor("b", 2, 6)]), 6, "overlaps that of `a`");
    breaks_format(&header(&[tensor("a", 0, 4), tensor("b", 0, 4)]), 4, "overlaps that of `a`");
    breaks_format(&header(&[tensor("a", 0, 4), tensor("b", 6, 8)]), 8, "2 bytes before its data");
    breaks_format(&header(&[tensor("a", 1, 4)]), 4, "1 bytes before its data");
    breaks_format(&header(&[tensor("a", 0, 4)]), 5, "1 bytes after the last tensor");
    breaks_format("{}", 1, "1 bytes after the last tensor");
    breaks_format(&header(&[tensor("a", 4, 0).replace("18446744073709551612", "0")]), 4, "before it begins");
    breaks_format(&header(&[tensor("a", 0, 4), tensor("a", 4, 8)]), 8, "two tensors are named `a`");
    // The same name, once spelled with an escape.
    breaks_format(&header(&[tensor("a", 0, 4), tensor("\\u0061", 4, 8)]), 8, "two tensors are named `a`");

    let beyond = read(&header(&[tensor("a", 0, 1 << 40)]), 4);
    assert!(matches!(beyond, CheckpointError::Truncated { found, .. } if found == beyond_length()), "{beyond:?}");
    let beyond = read(&header(&[tensor("a", 0, u64::MAX)]), 4);
    assert!(matches!(beyond, CheckpointError::Truncated { .. } | CheckpointError::Tensor { .. }), "{beyond:?}");

    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    breaks_format(&one("F32", "[4294967296,4294967296]", "[0,0]"), 0, "overflows");
    breaks_format(&one("F64", "[2305843009213693952]", "[0,0]"), 0, "overflows");
    breaks_format(&one("F32", "[0,18446744073709551615]", "[0,1]"), 1, "takes 0 bytes, its data has 1");
    breaks_format(&one("F32", "[3]", "[0,8]"), 8, "takes 12 bytes, its data has 8");
    breaks_format(&one("F33", "[1]", "[0,4]"), 4, "`F33` is no dtype");
    breaks_format(&one("", "[1]", "[0,4]"), 4, "is no dtype");
    breaks_format(&one("F32", "[-1]", "[0,4]"), 4, "the header is wrong");
    breaks_format(&one("F32", "[1.5]", "[0,4]"), 4, "the header is wrong");
    breaks_format(&one("F32", "[18446744073709551616]", "[0,4]"), 4, "the header is wrong");
    breaks_format(&one("F32", "[1]", "[0]"), 4, "the header is wrong");
    breaks_format(&one("F32", "[1]", "[0,4,8]"), 4, "the header is wrong");
    breaks_format(&one("F32", "[1]", "[0,4],\"strides\":[1]"), 4, "unknown field `strides`");
    breaks_format(r#"{"a":{"dtype":"F32","shape":[1]}}"#, 4, "missing field `data_offsets`");
    breaks_format(r#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4, "duplicate field");
    breaks_format(r#"{"__metadata__":{"a":1}}"#, 0, "the header is wrong");
    breaks_format(r#"{"__metadata__":{},"__metadata__":{}}"#, 0, "appears twice");
    breaks_format(r#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, "key `a` appears twice");
    breaks_format(r#"{"a":1}"#, 0, "the header is wrong");
    breaks_format("[]", 0, "begin with `{`");
    breaks_format(" {}", 0, "begin with `{`");
    breaks_format("{} {}", 0, "the header is wrong");
    breaks_format("{", 0, "the header is wrong");
    // Nested more deeply than a stack could follow.
    breaks_format(&format!(r#"{{"a":{}"#, "[".repeat(1_000_000)), 0, "the header is wrong");
    breaks_format(&format!(r#"{{"a":{{"x":{}"#, "[".repeat(1_000_000)), 0, "the header is wrong");

    // Dtypes that the format has and Osnova lacks.
    for dtype in ["I8", "I16", "U16", "U64", "F8_E4M3", "F8_E5M2", "C64"] {
        let error = read(&one(dtype, "[0]", "[0,0]"), 0);
        assert!(matches!(&error, CheckpointError::DType { dtype: found, .. } if found == dtype), "{error:?}");
    }
    // More axes than a tensor has, and sizes no memory holds behind a zero.
    for shape in ["[1,1,1,1,1,1,1,1,1]", "[0,9223372036854775807,9223372036854775807]"] {
        let error = read(&one("U8", shape, if shape.starts_with("[0") { "[0,0]" } else { "[0,1]" }), 1);
        let typed = matches!(error, CheckpointError::Tensor { .. } | CheckpointError::Format { .. });
        assert!(typed && error.to_string().contains('a'), "{error:?}");
    }

    let error = TensorFile::from_bytes(&file(b"{\"\xff\":1}", 0), "hostile").unwrap_err();
    assert!(matches!(error, CheckpointError::Format { offset: 10, .. }), "{error:?}");
    let mut bytes = file(one("BOOL", "[3]", "[0,3]").as_bytes(), 3);
    *bytes.last_mut().unwrap() = 2;
    let error = TensorFile::from_bytes(&bytes, "hostile").unwrap_err();
    assert!(error.to_string().contains("stored as 2"), "{error}");
    let CheckpointError::Format { offset, .. } = error else { panic!("{error:?}") };
    assert_eq!(offset, bytes.len() as u64 - 1);
}

/// The length of the file `{"a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}}` with 4 bytes of data.
fn beyond_length() -> u64 {
    8 + r#"{"a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}}"#.len() as u64 + 4
}

#[test]
fn cut_short_at_every_byte() {
    let directory = tempfile::tempdir().unwrap();
    let path = saved(directory.path());
    let bytes = fs::read(&path).unwrap();
    let whole = TensorFile::from_bytes(&bytes, "whole").unwrap();
    assert_eq!(bits(&TensorFile::read(&path).unwrap()), bits(&whole));
    for length in 0..bytes.len() {
        let error = TensorFile::from_bytes(&bytes[..length], "cut").unwrap_err();
        let CheckpointError::Truncated { needed, found, .. } = error else { panic!("{length}: {error:?}") };
        assert_eq!(found, length as u64);
        assert!(needed > found && needed <= bytes.len() as u64);
        // On the disk, with the hash beside it: the file is named as damaged.
        fs::write(&path, &bytes[..length]).unwrap();
        let error = load_tensors(&path, Device::cpu()).unwrap_err();
        assert!(matches!(&error, CheckpointError::Damaged { file, .. } if *file == path), "{error:?}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = saved(directory.path());
    let bytes = fs::read(&path).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // Without a hash: any outcome but a panic.
        let _ = TensorFile::from_bytes(&flipped, "flipped");
        if bit % 3 == 0 {
            fs::write(&path, &flipped).unwrap();
            let error = TensorFile::read(&path).unwrap_err();
            assert!(matches!(&error, CheckpointError::Damaged { file, .. } if *file == path), "{error:?}");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_hash_file_is_found_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let path = saved(directory.path());
    let whole = bits(&TensorFile::read(&path).unwrap());
    let hash_file = directory.path().join("sample.safetensors.sha256");
    let bytes = fs::read(&hash_file).unwrap();
    assert_eq!(bytes.len(), 64 + 2 + "sample.safetensors".len() + 1);
    let mut found = 0;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&hash_file, &flipped).unwrap();
        match TensorFile::read(&path) {
            Ok(file) => assert_eq!(bits(&file), whole),
            Err(CheckpointError::Damaged { .. } | CheckpointError::HashFile { .. }) => found += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    // All but the case of the letters and the name.
    assert!(found >= 64 * 7, "{found}");
}

#[test]
fn what_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().to_owned(), directory.path().join("absent.safetensors")] {
        let error = TensorFile::read(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::Missing { .. }), "{error:?}");
    }
    let error = Checkpoint::load(directory.path().join("absent")).unwrap_err();
    assert!(matches!(error, CheckpointError::Missing { .. }), "{error:?}");
}

fn checkpoint() -> Checkpoint {
    let model = Linear::new(3, 2, &Generator::new(0), Device::cpu()).unwrap();
    let mut checkpoint = Checkpoint::new(5, 1);
    checkpoint.put_model(&model);
    checkpoint.put("loader", &vec![1u32, 2, 3]).unwrap();
    checkpoint.put_tensors("optimizer", [("moment", Tensor::new([1.0f32, 2.0], Device::cpu()).unwrap())]).unwrap();
    checkpoint
}

/// Each file of a checkpoint, cut at every byte, with each bit flipped, or gone: found, and the file is named.
#[test]
fn damage_anywhere_in_a_checkpoint_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    checkpoint().save(&path).unwrap();
    Checkpoint::load(&path).unwrap();
    let mut names: Vec<String> =
        fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let data = ["checkpoint.json", "model.safetensors", "training.safetensors"];
    assert_eq!(names, data.iter().flat_map(|name| [name.to_string(), format!("{name}.sha256")]).collect::<Vec<_>>());
    for name in data {
        let file = path.join(name);
        let bytes = fs::read(&file).unwrap();
        let check = |content: &[u8]| {
            fs::write(&file, content).unwrap();
            let error = Checkpoint::load(&path).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(matches!(error, CheckpointError::Damaged { .. }), "{error:?}");
        };
        (0..bytes.len()).for_each(|length| check(&bytes[..length]));
        for bit in (0..bytes.len() * 8).step_by(5) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(&flipped);
        }
        fs::remove_file(&file).unwrap();
        let error = Checkpoint::load(&path).unwrap_err();
        assert!(matches!(&error, CheckpointError::Missing { file: missing, .. } if *missing == file), "{error:?}");
        fs::write(&file, &bytes).unwrap();
        Checkpoint::load(&path).unwrap();
    }
    fs::remove_file(path.join("checkpoint.json.sha256")).unwrap();
    let error = Checkpoint::load(&path).unwrap_err();
    assert!(error.to_string().contains("checkpoint.json.sha256"), "{error}");
}

/// Rewrites `checkpoint.json` with a hash that fits, as an attacker or a later version would.
fn forge(path: &Path, json: &str) -> CheckpointError {
    fs::write(path.join("checkpoint.json"), json).unwrap();
    let output = {
        use sha2::{Digest, Sha256};
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    fs::write(path.join("checkpoint.json.sha256"), output).unwrap();
    Checkpoint::load(path).expect_err(json)
}

#[test]
fn forged_metadata() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    checkpoint().save(&path).unwrap();
    let json = fs::read_to_string(path.join("checkpoint.json")).unwrap();
    for length in 0..json.trim_end().len() {
        let error = forge(&path, &json[..length]);
        assert!(matches!(error, CheckpointError::Metadata { .. }), "{length}: {error:?}");
    }
    let later = forge(&path, &json.replace("\"version\": 1", "\"version\": 2"));
    assert!(matches!(later, CheckpointError::Version { found: 2, supported: 1, .. }), "{later:?}");
    for (from, to) in [
        ("osnova-checkpoint", "another"),
        ("\"step\": 5", "\"step\": -5"),
        ("\"step\": 5", "\"step\": 5, \"step\": 6"),
        ("\"step\": 5", "\"step\": 5, \"more\": 6"),
        ("\"training.safetensors\"", "\"../training.safetensors\""),
        ("\"metrics\": {}", "\"metrics\": {\"loss\": \"fast\"}"),
    ] {
        assert!(json.contains(from), "{from}");
        let error = forge(&path, &json.replace(from, to));
        assert!(matches!(error, CheckpointError::Metadata { .. }), "{to}: {error:?}");
    }
    // A hash that is none would be quoted at any length.
    let hash = json.split_once("\"sha256\": \"").unwrap().1.split('"').next().unwrap();
    for forged in [String::new(), "\\u001b[2J".to_owned(), "0".repeat(1_000_000)] {
        let error = forge(&path, &json.replacen(hash, &forged, 1));
        assert!(matches!(error, CheckpointError::Metadata { .. }), "{error:?}");
        assert!(error.to_string().len() < 1000 && error.to_string().contains("model.safetensors"), "{error}");
    }
    let deep = format!("\"metadata\": {}null{}", "[".repeat(100_000), "]".repeat(100_000));
    let error = forge(&path, &json.replace("\"metadata\": null", &deep));
    assert!(matches!(error, CheckpointError::Metadata { .. }), "{error:?}");
    // Another checkpoint's file, whole in itself, in place of this one's.
    fs::remove_dir_all(&path).unwrap();
    checkpoint().save(&path).unwrap();
    let other = directory.path().join("other");
    let mut second = checkpoint();
    second.put_model(&Linear::new(3, 2, &Generator::new(1), Device::cpu()).unwrap());
    second.save(&other).unwrap();
    for name in ["model.safetensors", "model.safetensors.sha256"] {
        fs::copy(other.join(name), path.join(name)).unwrap();
    }
    let error = Checkpoint::load(&path).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::Damaged { file, .. } if file.ends_with("model.safetensors")),
        "{error:?}"
    );
}

#[test]
fn an_older_checkpoint_stands_in_for_a_damaged_one() {
    let directory = tempfile::tempdir().unwrap();
    let checkpoints = CheckpointDirectory::create(directory.path()).unwrap();
    assert!(checkpoints.load_latest().unwrap().is_none());
    for step in 0..3 {
        let mut checkpoint = checkpoint();
        checkpoint.set_metric("step", step as f64);
        checkpoints.save(&checkpoint).unwrap();
    }
    let newest = checkpoints.latest().unwrap().unwrap();
    assert_eq!(newest.number(), 2);
    newest.verify().unwrap();
    fs::write(newest.path().join("training.safetensors"), "").unwrap();
    assert!(newest.verify().is_err());
    let error = checkpoints.load_latest().unwrap_err();
    assert!(error.to_string().contains("training.safetensors"), "{error}");
    let (found, damages) = checkpoints.load_latest_valid().unwrap();
    assert_eq!(found.unwrap().metrics()["step"], 1.0);
    assert_eq!(damages.len(), 1);
}

#[test]
fn another_models_checkpoint_lists_every_difference_and_changes_nothing() {
    #[derive(Module)]
    struct Saved {
        hidden: Linear,
        out: Linear,
        old: Linear,
    }
    #[derive(Module)]
    struct Other {
        hidden: Linear,
        out: Linear,
        new: Linear,
    }
    let device = Device::cpu();
    let linear = |inputs, outputs| Linear::new(inputs, outputs, &Generator::new(3), device).unwrap();
    let saved = Saved { hidden: linear(4, 3), out: linear(3, 2), old: linear(2, 1) };
    let mut other = Other { hidden: linear(4, 5), out: linear(3, 2), new: linear(1, 1) };
    let before: Vec<Vec<f32>> = other.parameters().iter().map(|p| p.value().to_vec().unwrap()).collect();

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("model.safetensors");
    osnova_checkpoint::save_model(&saved, &file).unwrap();
    let mut checkpoint = Checkpoint::new(0, 0);
    checkpoint.put_model(&saved);
    for error in [
        osnova_checkpoint::load_model(&mut other, &file).unwrap_err(),
        checkpoint.restore_model(&mut other).unwrap_err(),
    ] {
        let CheckpointError::Mismatch { mismatch, .. } = &error else { panic!("{error:?}") };
        assert_eq!(mismatch.missing, ["new.weight", "new.bias"]);
        assert_eq!(mismatch.unexpected, ["old.bias", "old.weight"]);
        assert_eq!(mismatch.shapes.len(), 2);
        assert!(mismatch.dtypes.is_empty());
        let text = error.to_string();
        for name in ["new.weight", "new.bias", "old.weight", "old.bias", "hidden.weight", "hidden.bias"] {
            assert!(text.contains(name), "{text}");
        }
    }
    let after: Vec<Vec<f32>> = other.parameters().iter().map(|p| p.value().to_vec().unwrap()).collect();
    assert_eq!(before, after);
}
