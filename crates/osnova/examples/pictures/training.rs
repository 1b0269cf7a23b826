//! The loop that the small networks of the pictures are trained by.

use osnova::prelude::*;

/// Full-batch steps of Adam; the loss before each.
pub(crate) fn train<M: Module + Forward>(
    model: &mut M,
    (input, target): (&Tensor, &Tensor),
    loss: fn(&Tensor, &Tensor) -> Result<Tensor>,
    learning_rate: f64,
    steps: usize,
) -> Result<Vec<f64>> {
    let mut optimizer = Adam::new(learning_rate);
    (0..steps)
        .map(|_| {
            let value = loss(&model.forward(input)?, target)?;
            optimizer.step(model, &value.backward()?)?;
            value.item()
        })
        .collect()
}
