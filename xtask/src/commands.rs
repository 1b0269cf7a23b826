//! One module a command.

pub(crate) mod bench;
pub(crate) mod ci;
pub(crate) mod compare;
pub(crate) mod docs;
pub(crate) mod shaders;
pub(crate) mod test;
