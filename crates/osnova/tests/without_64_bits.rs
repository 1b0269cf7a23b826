//! What runs on a device without 64-bit integers and floats, as some GPUs are: classes, embeddings, counters.

use osnova::data::{ArrayDataset, DataLoader};
use osnova::nn::losses::cross_entropy;
use osnova::nn::{Embedding, StateDict};
use osnova::prelude::*;
use osnova::tensor::{
    Backend, Capabilities, DTypeSet, Error, HostData, Inputs, Meta, Op, Outputs, Shape, Tensor as AnyTensor,
};
use std::sync::OnceLock;

/// The CPU with fewer dtypes.
#[derive(Debug)]
struct Narrow;

fn narrow() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    *DEVICE.get_or_init(|| Device::intern(Narrow))
}

impl Backend for Narrow {
    fn name(&self) -> String {
        "narrow".into()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DTypeSet::of(&[DType::F32, DType::I32, DType::Bool]))
    }
    fn claims(&self, op: &Op, inputs: &[AnyTensor]) -> bool {
        Device::cpu().backend().claims(op, inputs)
    }
    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Device::cpu().backend().upload(device, data, shape)
    }
    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        Device::cpu().backend().download(tensor)
    }
    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        Device::cpu().backend().execute(device, op, inputs, outputs)
    }
}

#[derive(Module, Clone, Debug)]
struct Classifier {
    embedding: Embedding,
    norm: BatchNorm,
    out: Linear,
}

impl Classifier {
    fn new(device: Device) -> Result<Self> {
        let generator = Generator::new(5);
        Ok(Self {
            embedding: Embedding::new(6, 4, &generator, device)?,
            // The mean of all batches so far, which the counter divides by.
            norm: BatchNorm::options(4).momentum(None).build(device)?,
            out: Linear::new(4, 3, &generator, device)?,
        })
    }

    fn forward(&self, words: &Tensor) -> Result<Tensor> {
        self.out.forward(&self.norm.forward(&self.embedding.forward(words)?)?)
    }
}

/// The losses of a few steps.
fn train(device: Device) -> Result<(Classifier, Vec<f32>)> {
    let mut model = Classifier::new(device.autodiff())?;
    let mut optimizer = Adam::new(0.05);
    let index = |values: &[i64]| Tensor::from_indices(values.to_vec(), values.len(), device.index_dtype(), device);
    let (words, classes) = (index(&[0, 1, 2, 3, 4, 5])?, index(&[0, 1, 2, 0, 1, 2])?);
    let mut losses = Vec::new();
    for _ in 0..5 {
        let loss = cross_entropy(&model.forward(&words)?, &classes)?;
        losses.push(loss.to_vec::<f32>()?[0]);
        optimizer.step(&mut model, &loss.backward()?)?;
    }
    Ok((model, losses))
}

fn batches(model: &Classifier) -> Tensor {
    model.norm.num_batches_tracked.as_ref().expect("it counts").value()
}

#[test]
fn a_classifier_trains_as_on_any_other_device() -> Result<()> {
    let (narrow, wide) = (train(narrow())?, train(Device::cpu())?);
    assert_eq!(narrow.1, wide.1);
    assert!(narrow.1[4] < narrow.1[0]);
    assert_eq!(batches(&narrow.0).to_vec::<i32>()?, [5]);
    assert_eq!(batches(&wide.0).to_vec::<i64>()?, [5]);
    Ok(())
}

#[test]
fn counters_move_between_devices_and_files_of_either_width() -> Result<()> {
    let (mut wide, _) = train(Device::cpu())?;
    let (saved, mut moved) = (wide.state_dict(), wide.clone());
    moved.to_device(narrow())?;
    assert_eq!(batches(&moved).to_vec::<i32>()?, [5]);
    moved.to_device(Device::cpu())?;
    assert_eq!(batches(&moved).to_host()?.to_i64(), Some(vec![5]));
    // A wide state dict into a narrow model, and back.
    let mut fresh = Classifier::new(narrow())?;
    fresh.load_state_dict(&saved)?;
    assert_eq!(batches(&fresh).to_vec::<i32>()?, [5]);
    wide.load_state_dict(&fresh.state_dict())?;
    assert_eq!(batches(&wide).to_vec::<i64>()?, [5]);
    // Floats are not taken for counters.
    let floats: StateDict = saved
        .iter()
        .map(|(name, value)| {
            let counter = name.ends_with("tracked");
            Ok((name.to_owned(), if counter { value.to_dtype(DType::F32)? } else { value.clone() }))
        })
        .collect::<Result<_>>()?;
    assert!(fresh.load_state_dict(&floats).unwrap_err().to_string().contains("num_batches_tracked has dtype f32"));
    Ok(())
}

#[test]
fn a_count_that_does_not_fit_is_refused_and_changes_nothing() -> Result<()> {
    let (wide, _) = train(Device::cpu())?;
    let mut state = wide.state_dict();
    state.insert("norm.num_batches_tracked", Tensor::full((), 1i64 << 40, DType::I64, Device::cpu())?);
    let mut fresh = Classifier::new(narrow())?;
    let before = fresh.out.weight.to_vec::<f32>()?;
    let error = fresh.load_state_dict(&state).unwrap_err();
    assert!(matches!(*error, Error::DType { .. }) && error.to_string().contains("1099511627776"), "{error}");
    assert_eq!(fresh.out.weight.to_vec::<f32>()?, before);
    Ok(())
}

#[test]
fn loaders_and_permutations_give_indices_that_the_device_has() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let data = ArrayDataset::classification([1.0, 2.0, 3.0, 4.0], [2], [1, 0], 2)?;
    let mut loader = DataLoader::new(data, 2)?;
    loader.start_epoch(0);
    let batch = loader.tensors(narrow()).next().expect("there is a batch")?;
    assert_eq!(batch.targets.expect("there are classes").to_vec::<i32>()?.len(), 2);
    let order = Tensor::permutation(5, &Generator::new(1), narrow())?.to_vec::<i32>()?;
    let same = Tensor::permutation(5, &Generator::new(1), Device::cpu())?.to_vec::<i64>()?;
    assert!(order.into_iter().map(i64::from).eq(same));
    // Made of indices on the way.
    let x = Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], narrow())?;
    assert_eq!(x.tril(0)?.to_vec::<f32>()?, [1.0, 0.0, 3.0, 4.0]);
    assert_eq!(Tensor::eye(2, DType::F32, narrow())?.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
    let recorded = x.to_device(narrow().autodiff())?.tracked()?;
    let every_other = recorded.slice(1, .., 2)?.sum(.., false)?.backward()?;
    assert_eq!(every_other.get(&recorded).expect("it moves").to_vec::<f32>()?, [1.0, 0.0, 1.0, 0.0]);
    // Positions are i64 and nothing else.
    assert!(x.argmax(0, false).unwrap_err().to_string().contains("narrow: argmax needs i64"));
    Ok(())
}
