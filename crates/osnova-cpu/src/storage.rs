//! What a tensor of this backend holds.

use crate::memory::{Buffer, OutOfMemory};
use bytemuck::Pod;
use osnova_tensor::{Device, Layout, Meta, Tensor};

/// A buffer, or the tensor whose buffer a view looks at. So a tensor is one allocation besides its elements, and views
/// are counted as handles of the tensor they look at.
#[derive(Debug)]
pub(crate) enum Storage {
    Own(Buffer),
    View(Tensor),
}

/// The same elements under another layout.
pub(crate) fn view(tensor: &Tensor, layout: Layout) -> Tensor {
    let base = match tensor.storage::<Storage>() {
        Some(Storage::View(base)) => base.clone(),
        _ => tensor.clone(),
    };
    Tensor::from_parts(tensor.device(), layout, tensor.dtype(), Storage::View(base))
}

/// All elements of a tensor's buffer; its layout says where its own lie.
///
/// Every tensor that reaches a kernel was made by this backend; the empty slice stands for one that was not.
#[inline]
pub(crate) fn elements<T: Pod>(tensor: &Tensor) -> &[T] {
    match tensor.storage::<Storage>() {
        Some(Storage::Own(buffer)) => buffer.as_slice(),
        Some(Storage::View(base)) => elements(base),
        None => &[],
    }
}

/// All elements of a tensor's buffer to write to, if nobody else can see them.
#[inline]
fn elements_mut<T: Pod>(tensor: &mut Tensor) -> Option<&mut [T]> {
    match tensor.storage_mut::<Storage>()? {
        Storage::Own(buffer) => Some(buffer.as_mut_slice()),
        Storage::View(base) => elements_mut(base),
    }
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
    Some(&mut elements_mut::<T>(tensor)?[start..start + count])
}

/// A new tensor whose elements `fill` writes, every one of them.
#[inline]
pub(crate) fn create<T: Pod>(device: Device, meta: &Meta, fill: impl FnOnce(&mut [T])) -> Result<Tensor, OutOfMemory> {
    try_create(device, meta, |elements| {
        fill(elements);
        Ok(())
    })
}

/// [`create`] by what may need memory of its own.
#[inline]
pub(crate) fn try_create<T: Pod>(
    device: Device,
    meta: &Meta,
    fill: impl FnOnce(&mut [T]) -> Result<(), OutOfMemory>,
) -> Result<Tensor, OutOfMemory> {
    let mut buffer = Buffer::of::<T>(meta.shape.count())?;
    fill(buffer.as_mut_slice())?;
    Ok(of_buffer(device, meta, buffer))
}

/// A tensor whose elements lie in `buffer`, row-major.
#[inline]
pub(crate) fn of_buffer(device: Device, meta: &Meta, buffer: Buffer) -> Tensor {
    Tensor::from_parts(device, Layout::contiguous(meta.shape), meta.dtype, Storage::Own(buffer))
}
