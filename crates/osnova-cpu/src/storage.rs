//! What a tensor of this backend holds.

use crate::memory::Buffer;
use bytemuck::Pod;
use osnova_tensor::{Device, Layout, Meta, Tensor};
use std::sync::Arc;

/// A shared buffer: views of one tensor share it under different layouts.
#[derive(Clone, Debug)]
pub(crate) struct Storage(Arc<Buffer>);

impl Storage {
    pub(crate) fn new(buffer: Buffer) -> Self {
        Self(Arc::new(buffer))
    }

    /// All elements of the buffer.
    #[inline]
    pub(crate) fn slice<T: Pod>(&self) -> &[T] {
        self.0.as_slice()
    }

    /// All elements of the buffer, if nobody else shares it.
    #[inline]
    fn slice_mut<T: Pod>(&mut self) -> Option<&mut [T]> {
        Some(Arc::get_mut(&mut self.0)?.as_mut_slice())
    }
}

/// All elements of a tensor's buffer; its layout says where its own lie.
///
/// Every tensor that reaches a kernel was made by this backend; the empty slice stands for one that was not.
#[inline]
pub(crate) fn elements<T: Pod>(tensor: &Tensor) -> &[T] {
    tensor.storage::<Storage>().map_or(&[], Storage::slice)
}

/// The tensor's own elements in row-major order, if they lie that way.
#[inline]
pub(crate) fn contiguous<T: Pod>(tensor: &Tensor) -> Option<&[T]> {
    let layout = tensor.layout();
    let start = layout.offset();
    layout.is_contiguous().then(|| &elements::<T>(tensor)[start..start + layout.shape().count()])
}

/// The tensor's own elements to write to, if they lie row-major and this is the last handle on them.
#[inline]
pub(crate) fn writable<T: Pod>(tensor: &mut Tensor) -> Option<&mut [T]> {
    let layout = tensor.layout();
    if !layout.is_contiguous() {
        return None;
    }
    let (start, count) = (layout.offset(), layout.shape().count());
    Some(&mut tensor.storage_mut::<Storage>()?.slice_mut::<T>()?[start..start + count])
}

/// A new tensor whose elements `fill` writes, every one of them.
pub(crate) fn create<T: Pod>(device: Device, meta: &Meta, fill: impl FnOnce(&mut [T])) -> Tensor {
    let mut buffer = Buffer::new(meta.shape.count() * size_of::<T>());
    fill(buffer.as_mut_slice());
    Tensor::from_parts(device, Layout::contiguous(meta.shape), meta.dtype, Storage::new(buffer))
}
