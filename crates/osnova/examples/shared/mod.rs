//! What the examples that train on images have in common.

pub(crate) mod arguments;
pub(crate) mod images;
pub(crate) mod run_directory;
