//! The workloads that Osnova is raced on, each written as a user would write it.
//!
//! They are those of the PyTorch and JAX programs that `cargo xtask compare` runs beside: same shapes, losses, optimizers.
#![forbid(unsafe_code)]

pub mod device;
pub mod workloads;
