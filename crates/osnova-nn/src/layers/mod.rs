//! The layers.

mod linear;

pub use linear::{Linear, LinearOptions};
