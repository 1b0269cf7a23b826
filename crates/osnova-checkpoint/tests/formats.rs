//! Safetensors files beside the reference implementation's and PyTorch's.

use osnova_checkpoint::{CheckpointError, TensorFile, load_model, load_tensors, save_model, save_tensors};
use osnova_cpu::CpuDevice;
use osnova_nn::{BatchNorm, Forward, Linear, Module, Sequential};
use osnova_tensor::{DType, Device, Generator, HostData, Result, Tensor};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../goldens").join(name)
}

#[derive(Module)]
struct Mlp {
    hidden: Linear,
    out: Linear,
}

impl Mlp {
    fn new(seed: u64) -> Self {
        let generator = Generator::new(seed);
        let linear = |inputs, outputs| Linear::new(inputs, outputs, &generator, Device::cpu()).unwrap();
        Self { hidden: linear(64, 32), out: linear(32, 10) }
    }
}

impl Forward for Mlp {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.out.forward(&self.hidden.forward(input)?.relu()?)
    }
}

fn logits(model: &Mlp) -> (Vec<f32>, Vec<f32>) {
    let predictions = load_tensors(golden("pytorch_mlp_predictions.safetensors"), Device::cpu()).unwrap();
    let ours = model.forward(&predictions["inputs"]).unwrap();
    (ours.to_vec().unwrap(), predictions["logits"].to_vec().unwrap())
}

#[test]
fn pytorchs_mlp_loads_and_predicts_equally() {
    let mut model = Mlp::new(1);
    load_model(&mut model, golden("pytorch_mlp.safetensors")).unwrap();
    let (ours, pytorchs) = logits(&model);
    let largest = pytorchs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    for (ours, pytorchs) in ours.iter().zip(&pytorchs) {
        assert!((ours - pytorchs).abs() <= 1e-5 * largest, "{ours} {pytorchs}");
    }
}

#[test]
fn a_model_loaded_back_predicts_the_same_bits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    let saved = Mlp::new(5);
    save_model(&saved, &path).unwrap();
    let mut loaded = Mlp::new(6);
    assert_ne!(logits(&saved).0, logits(&loaded).0);
    load_model(&mut loaded, &path).unwrap();
    assert_eq!(logits(&saved).0, logits(&loaded).0);
}

/// Files that PyTorch's users wrote, read and written again, are the same byte for byte.
#[test]
fn running_statistics_are_saved_and_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    let model = || {
        let linear = Linear::new(3, 4, &Generator::new(1), Device::cpu()).unwrap();
        Sequential::new().with(linear).with(BatchNorm::new(4, Device::cpu()).unwrap())
    };
    let trained = model();
    let batch = Tensor::normal([8, 3], 1.0, 2.0, DType::F32, &Generator::new(2), Device::cpu()).unwrap();
    trained.forward(&batch).unwrap();
    save_model(&trained, &path).unwrap();
    let tensors = load_tensors(&path, Device::cpu()).unwrap();
    assert_eq!(tensors["1.num_batches_tracked"].to_scalar::<i64>().unwrap(), 1);
    let mut loaded = model();
    load_model(&mut loaded, &path).unwrap();
    let bits = |model: &Sequential| model.inference().unwrap().forward(&batch).unwrap().to_vec::<f32>().unwrap();
    assert_ne!(bits(&trained), bits(&model()), "the statistics matter");
    assert_eq!(bits(&trained), bits(&loaded));
}

#[test]
fn pytorchs_files_come_back_byte_for_byte() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["pytorch_mlp", "pytorch_mlp_sequential", "pytorch_mlp_predictions"] {
        let original = golden(&format!("{name}.safetensors"));
        let file = TensorFile::read(&original).unwrap();
        let metadata = file.metadata.clone();
        let copy = directory.path().join(name);
        save_tensors(&copy, file.into_tensors(Device::cpu()).unwrap(), &metadata).unwrap();
        assert_eq!(fs::read(original).unwrap(), fs::read(copy).unwrap(), "{name}");
    }
}

#[test]
fn a_saved_model_holds_what_pytorchs_file_holds() {
    let directory = tempfile::tempdir().unwrap();
    let (path, expected) = (directory.path().join("a"), golden("pytorch_mlp_sequential.safetensors"));
    // A list of layers is named by their places, as PyTorch's `Sequential` does.
    let linear = |inputs, outputs| Linear::new(inputs, outputs, &Generator::new(0), Device::cpu()).unwrap();
    let mut layers = BTreeMap::from([("0".to_owned(), linear(64, 32)), ("2".to_owned(), linear(32, 10))]);
    #[derive(Module)]
    struct Named {
        layers: BTreeMap<String, Linear>,
    }
    let tensors = load_tensors(&expected, Device::cpu()).unwrap();
    for (place, layer) in &mut layers {
        let own = ["weight", "bias"].map(|name| (name.to_owned(), tensors[&format!("{place}.{name}")].clone()));
        layer.load_state_dict(&own.into_iter().collect()).unwrap();
    }
    let model = Named { layers };
    let names: Vec<String> = model.state_dict().names().map(str::to_owned).collect();
    assert_eq!(names, ["layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias"]);
    save_model(&model, &path).unwrap();
    let (ours, pytorchs) = (TensorFile::read(&path).unwrap(), TensorFile::read(&expected).unwrap());
    assert_eq!(ours.metadata, pytorchs.metadata);
    for (name, tensor) in &pytorchs.tensors {
        assert_eq!(ours.tensors[&format!("layers.{name}")], *tensor);
    }
}

fn every_dtype() -> BTreeMap<String, Tensor> {
    let device = Device::cpu();
    let mut tensors = BTreeMap::new();
    for dtype in DType::ALL {
        let values: Vec<f64> = (0..6).map(|value| value as f64).collect();
        let values = HostData::from_f64(dtype, &values);
        tensors.insert(format!("{dtype}"), Tensor::from_host(values, [2, 3], device).unwrap());
        let empty = Tensor::from_host(HostData::from_f64(dtype, &[]), [3, 0, 2], device).unwrap();
        tensors.insert(format!("{dtype} empty"), empty);
        let scalar = Tensor::from_host(HostData::from_f64(dtype, &[1.0]), (), device).unwrap();
        tensors.insert(format!("{dtype} \"scalar\"\n"), scalar);
    }
    let odd = [f32::NAN, -0.0, f32::INFINITY, f32::MIN_POSITIVE / 2.0, f32::from_bits(0x7fc1_2345)];
    tensors.insert("odd".to_owned(), Tensor::new(odd, device).unwrap());
    // A view whose elements do not lie in order.
    let view = Tensor::new([[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]], device).unwrap().permute([1, 0]).unwrap();
    tensors.insert("transposed".to_owned(), view);
    tensors
}

#[test]
fn every_dtype_and_shape_comes_back_and_the_reference_reads_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.safetensors");
    let tensors = every_dtype();
    let metadata = BTreeMap::from([("b".to_owned(), "ü \"\\".to_owned()), ("a".to_owned(), String::new())]);
    save_tensors(&path, tensors.clone(), &metadata).unwrap();
    let bytes = fs::read(&path).unwrap();

    let ours = TensorFile::read(&path).unwrap();
    assert_eq!(ours.metadata, metadata);
    assert_eq!(ours.tensors.len(), tensors.len());
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(reference.len(), tensors.len());
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap().len(), 2);
    for (name, tensor) in &tensors {
        let values = tensor.to_host().unwrap();
        let own = &ours.tensors[name];
        assert_eq!(own.values.as_bytes(), values.as_bytes(), "{name}");
        assert_eq!((own.shape, own.values.dtype()), (*tensor.shape(), tensor.dtype()), "{name}");
        let theirs = reference.tensor(name).unwrap();
        assert_eq!(theirs.data(), values.as_bytes(), "{name}");
        assert_eq!(theirs.shape(), tensor.dims(), "{name}");
    }
    // The data part begins at a multiple of 8 bytes, so that the file can be mapped.
    assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0);
}

#[test]
fn the_same_tensors_give_the_same_bytes_in_any_order() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    let metadata = (0..20).map(|index| (format!("key {index}"), "value".to_owned())).collect();
    save_tensors(&first, every_dtype(), &metadata).unwrap();
    save_tensors(&second, every_dtype().into_iter().rev(), &metadata).unwrap();
    assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
}

#[test]
fn what_cannot_be_saved_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let one = Tensor::new([1.0f32], Device::cpu()).unwrap();
    save_tensors(&path, [("x", one.clone())], &BTreeMap::new()).unwrap();
    let old = fs::read(&path).unwrap();
    for names in [["__metadata__", "y"], ["y", "y"]] {
        let error = save_tensors(&path, names.map(|name| (name, one.clone())), &BTreeMap::new()).unwrap_err();
        assert!(matches!(error, CheckpointError::Unsaveable { .. }), "{error:?}");
    }
    let error = save_tensors(directory.path().join("no/such/place"), [("x", one.clone())], &BTreeMap::new());
    assert!(matches!(error, Err(CheckpointError::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), old);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    let error = TensorFile::read(&path).unwrap().tensor("z", Device::cpu()).unwrap_err();
    assert!(error.to_string().contains("it holds `x`"), "{error}");
}

#[test]
fn a_file_without_a_hash_loads_and_sha256sum_reads_ours() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.safetensors");
    save_tensors(&path, every_dtype(), &BTreeMap::new()).unwrap();
    let hash_file = directory.path().join("a.safetensors.sha256");
    let text = fs::read_to_string(&hash_file).unwrap();
    let (hash, name) = text.trim_end().split_once("  ").unwrap();
    assert_eq!((hash.len(), name), (64, "a.safetensors"));
    // As `sha256sum --binary` and Windows tools write it.
    fs::write(&hash_file, format!("{} *{name}\r\n", hash.to_uppercase())).unwrap();
    TensorFile::read(&path).unwrap();
    fs::remove_file(hash_file).unwrap();
    TensorFile::read(&path).unwrap();
}
