//! What a tensor of this backend holds.

use crate::memory::Block;
use osnova_tensor::{Layout, Tensor};

/// A buffer, or the tensor whose buffer a view looks at: so views are counted as handles of the tensor they look at.
#[derive(Debug)]
pub(crate) enum Storage {
    Own(Block),
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

/// The buffer of a tensor; none for a tensor that this backend did not make.
pub(crate) fn block(tensor: &Tensor) -> Option<&Block> {
    match tensor.storage::<Storage>()? {
        Storage::Own(block) => Some(block),
        Storage::View(base) => block(base),
    }
}

/// Whether a kernel may write into the tensor's elements: this is the last handle on them.
pub(crate) fn is_last(tensor: &mut Tensor) -> bool {
    match tensor.storage_mut::<Storage>() {
        Some(Storage::Own(_)) => true,
        Some(Storage::View(base)) => is_last(base),
        None => false,
    }
}
