//! The kernels, one family a file.

pub(crate) mod create;
pub(crate) mod elementwise;
pub(crate) mod float;
pub(crate) mod index;
pub(crate) mod losses;
pub(crate) mod movement;
pub(crate) mod normalise;
pub(crate) mod optimize;
pub(crate) mod product;
pub(crate) mod reduce;
pub(crate) mod softmax;
pub(crate) mod tiles;
