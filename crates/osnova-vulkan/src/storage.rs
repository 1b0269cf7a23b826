//! What a tensor of this backend holds.

use crate::faults::Verdicts;
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

/// The verdicts that the values of these tensors rest on.
pub(crate) fn verdicts<'t>(tensors: impl IntoIterator<Item = &'t Tensor>) -> Verdicts {
    let mut all = Verdicts::default();
    tensors.into_iter().filter_map(block).for_each(|block| all.join(&block.verdicts));
    all
}

/// Lets the values of an output rest on these verdicts.
///
/// An output with other handles is an input, or a view of one, and carries its verdicts already.
pub(crate) fn rest_on(tensor: &mut Tensor, verdicts: &Verdicts) {
    match tensor.storage_mut::<Storage>() {
        Some(Storage::Own(block)) => block.verdicts.join(verdicts),
        Some(Storage::View(base)) => rest_on(base, verdicts),
        None => {}
    }
}
