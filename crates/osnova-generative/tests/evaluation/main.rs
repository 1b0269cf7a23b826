//! The evaluation of generative models, by family.

mod bounds;
mod codes;
mod common;
mod features;
mod frechet;
mod reconstruction;
