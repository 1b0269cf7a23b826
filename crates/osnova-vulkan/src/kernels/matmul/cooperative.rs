//! Products of half precision by cooperative matrices, where the device has them; see `matmul_coop.comp`.
//!
//! Before the first use on a device a self-check compares a few products of small integers, which are exact, with those of
//! the ordinary kernel. If a single bit differs, cooperative matrices stay unused as long as the program runs. (No hardware that has them was at hand
//! when this was written.) `format!("{:?}", device.backend())` tells what was found. `OSNOVA_VULKAN_WITHOUT=cooperative-matrix` leaves them alone.
//!
//! bf16 would need `VK_KHR_shader_bfloat16`, which vulkano cannot switch on yet; as f16 its numbers would overflow.

use super::choice::{Tile, Way};
use super::{Finish, Product, product};
use crate::engine::Engine;
use crate::faults::Verdicts;
use crate::kernels::elementwise;
use crate::storage::view;
use half::f16;
use osnova_tensor::{DType, Device, Meta, Result, Shape, Tensor};
use std::sync::OnceLock;

/// Whether the self-check passed; unknown until the first product that asks.
#[derive(Debug, Default)]
pub(crate) struct Cooperative(OnceLock<bool>);

impl Cooperative {
    /// Whether a product is computed so, of which the rule by shape says `way`: large ones alone, of operands that can be read
    /// in fours. Shape and device decide, never time: the order in which a fragment is summed is its own.
    pub(super) fn takes(&self, engine: &Engine, device: Device, product: &Product, way: Way) -> bool {
        engine.gpu.fragments.is_some()
            && suits(product, way)
            && *self.0.get_or_init(|| passes(engine, device).unwrap_or(false))
    }
}

fn suits(product: &Product, way: Way) -> bool {
    let large = matches!(way, Way::Tiles { tile: Tile::Large | Tile::Medium, part } if part >= product.size.inner);
    large && product.dtype == DType::F16 && product.left.fours && product.right.fours
}

/// Whether products come out as they do in the ordinary kernel: with edges on all sides, and with tiles whose neighbours they
/// must not touch; from operands that lie either way; with bias and activation.
fn passes(engine: &Engine, device: Device) -> Result<bool> {
    for [rows, inner, columns] in [[64, 80, 48], [132, 36, 260]] {
        for swapped in [[false, false], [false, true], [true, false], [true, true]] {
            let left = integers(engine, device, [2, rows, inner], swapped[0], 1)?;
            let right = integers(engine, device, [2, inner, columns], swapped[1], 3)?;
            let bias = integers(engine, device, [1, 1, columns], false, 2)?;
            let finish = Finish { bias: Some((engine.input(&bias)?, 1)), activation: elementwise::IDENTITY };
            let meta = Meta::new(Shape::new(&[2, rows, columns])?, DType::F16);
            let product = product(engine, &left, &right, finish, &meta)?;
            let result = |way: Way| {
                let output = engine.create(device, &meta)?;
                product.run(engine, device, way, &output)?;
                engine.read(&output, &Verdicts::default())
            };
            let ordinary = result(Way::Tiles { tile: Tile::Small, part: inner as u32 })?;
            if result(Way::Cooperative)? != ordinary {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Matrices of integers from −2 to 2, row-major or transposed in memory: all sums of products are exact.
fn integers(engine: &Engine, device: Device, dims: [usize; 3], swapped: bool, salt: usize) -> Result<Tensor> {
    let [batch, rows, columns] = dims;
    let shape = Shape::new(&if swapped { [batch, columns, rows] } else { dims })?;
    let values: Vec<f16> =
        (0..shape.count()).map(|at| f16::from_f32(((at * 7 + at / 5 + salt) % 5) as f32 - 2.0)).collect();
    let tensor = engine.create(device, &Meta::new(shape, DType::F16))?;
    engine.write(&tensor, 0, bytemuck::cast_slice(&values))?;
    Ok(if swapped { view(&tensor, tensor.layout().permute(&[0, 2, 1])) } else { tensor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::matmul::tests::device;

    /// What the self-check compares with must itself be right, and its products such as cooperative matrices are used for.
    #[test]
    fn the_self_check_multiplies_exactly() -> Result<()> {
        let Some((engine, device)) = device() else { return Ok(()) };
        if !engine.gpu.info.dtypes.contains(DType::F16) {
            return Ok(());
        }
        let left = integers(engine, device, [1, 8, 80], true, 1)?;
        let right = integers(engine, device, [1, 80, 12], false, 3)?;
        let meta = Meta::new(Shape::new(&[1, 8, 12])?, DType::F16);
        let finish = Finish { bias: None, activation: elementwise::IDENTITY };
        let product = product(engine, &left, &right, finish, &meta)?;
        assert!(product.left.fours && product.right.fours && !product.left.along_inner);
        let output = engine.create(device, &meta)?;
        product.run(engine, device, Way::Tiles { tile: Tile::Small, part: 80 }, &output)?;
        let read = |tensor: &Tensor| -> Result<Vec<f64>> { Ok(tensor.contiguous()?.to_host()?.to_f64()) };
        let (x, y, found) = (read(&left)?, read(&right)?, read(&output)?);
        for row in 0..8 {
            for column in 0..12 {
                let sum: f64 = (0..80).map(|at| x[row * 80 + at] * y[at * 12 + column]).sum();
                assert_eq!(found[row * 12 + column], sum, "{row}, {column}");
            }
        }
        Ok(())
    }

    /// On a device that has them the self-check must pass: otherwise the kernel is wrong, or the driver.
    #[test]
    fn cooperative_matrices_agree_where_there_are_any() -> Result<()> {
        let Some((engine, device)) = device() else { return Ok(()) };
        match engine.gpu.fragments {
            Some(fragments) => assert!(passes(engine, device)?, "{fragments:?}"),
            None => eprintln!("SKIPPED: this device has no cooperative matrices that the kernel can use"),
        }
        Ok(())
    }
}
