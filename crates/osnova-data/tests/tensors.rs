//! Batches as tensors on a device.

use osnova_data::*;
use osnova_tensor::{
    Backend, Capabilities, DType, DTypeSet, Device, Error, HostData, Inputs, Layout, Meta, Op, Outputs, Shape, Tensor,
};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A device that holds tensors and runs nothing: all that a loader needs. There is room for so many.
#[derive(Debug)]
struct Shelf(AtomicUsize);

fn shelf(room: usize) -> Device {
    Device::intern(Shelf(AtomicUsize::new(room)))
}

impl Backend for Shelf {
    fn name(&self) -> String {
        "shelf".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(DTypeSet::ALL)
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> osnova_tensor::Result<Tensor> {
        let room = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1));
        room.map_err(|_| Error::device("shelf", "it is full", "Take something off"))?;
        Ok(Tensor::from_parts(device, Layout::contiguous(shape), data.dtype(), data))
    }

    fn download(&self, tensor: &Tensor) -> osnova_tensor::Result<HostData> {
        let data = tensor.storage::<HostData>().cloned();
        data.ok_or_else(|| Error::device("shelf", "the tensor is not on the shelf", "Put it there"))
    }

    fn execute(&self, _: Device, op: &Op, _: Inputs, _: &[Meta]) -> osnova_tensor::Result<Outputs> {
        Err(Error::device("shelf", format!("it runs nothing, not even {}", op.name()), "Use another device"))
    }
}

#[test]
fn batches_become_tensors_of_the_documented_shapes() -> Result<(), Box<dyn std::error::Error>> {
    let device = shelf(100);
    let mut loader = DataLoader::new(digits()?.with_feature_shape([1, 8, 8])?, 500)?.shuffle(3).workers(1);
    let host: Vec<Batch> = loader.batches().collect::<Result<_>>()?;
    loader.start_epoch(0);
    let batches: Vec<TensorBatch> = loader.tensors(device).collect::<Result<_>>()?;
    assert_eq!(batches.len(), 4);
    for (batch, host) in batches.iter().zip(host) {
        let targets = batch.targets()?;
        assert_eq!(batch.features.dims(), [host.len(), 1, 8, 8]);
        assert_eq!((targets.dims(), targets.dtype()), (&[host.len()][..], DType::I64));
        assert_eq!(batch.features.to_vec::<f32>()?, host.features);
        assert_eq!(BatchTargets::Classes(targets.to_vec::<i64>()?), host.targets);
        assert_eq!((&batch.indices, batch.resume), (&host.indices, host.resume));
    }
    assert_eq!(batches[3].features.dims()[0], 1797 - 1500);
    Ok(())
}

#[test]
fn target_numbers_are_columns_and_missing_targets_an_error() -> Result<(), Box<dyn std::error::Error>> {
    let device = shelf(100);
    let regression = ArrayDataset::regression(vec![1.0, 2.0, 3.0], [1], vec![4.0, 5.0, 6.0], 1)?;
    let batch = DataLoader::new(regression, 2)?.tensors(device).next().ok_or("no batch")??;
    assert_eq!((batch.targets()?.dims(), batch.targets()?.to_vec::<f32>()?), (&[2, 1][..], vec![4.0, 5.0]));
    let unlabelled = ArrayDataset::unlabelled(vec![1.0, 2.0, 3.0], [1])?;
    let batch = DataLoader::new(unlabelled, 2)?.tensors(device).next().ok_or("no batch")??;
    assert!(batch.targets.is_none());
    assert!(batch.targets().unwrap_err().to_string().contains("no targets"));
    Ok(())
}

#[test]
fn a_batch_that_does_not_fit_on_the_device_is_not_skipped() -> Result<(), Box<dyn std::error::Error>> {
    let mut loader = DataLoader::new(digits()?, 500)?.workers(1);
    // Two tensors a batch: the third batch does not fit.
    let results: Vec<Result<TensorBatch>> = loader.tensors(shelf(5)).collect();
    assert_eq!(results.len(), 3);
    assert!(matches!(results[2], Err(DataError::Tensor(_))), "{:?}", results[2]);
    assert_eq!((loader.state().epoch, loader.state().next_batch), (0, 2));
    let rest: Vec<TensorBatch> = loader.tensors(shelf(100)).collect::<Result<_>>()?;
    assert_eq!((rest.len(), rest[0].indices[0]), (2, 1000));
    Ok(())
}
