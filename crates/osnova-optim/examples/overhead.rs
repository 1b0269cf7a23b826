//! How long an optimizer's step takes beside its kernels: `cargo run --release -p osnova-optim --example overhead`.

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_nn::{Forward, Linear, Module, Relu, Sequential};
use osnova_optim::{Adam, Optimizer};
use osnova_tensor::{DType, Device, Generator, Result, Tensor};
use std::time::Instant;

fn main() -> Result<()> {
    let device = Device::cpu().autodiff();
    for sizes in [[4, 4, 4, 4], [784, 256, 128, 10]] {
        let generator = Generator::new(0);
        let mut model = Sequential::new();
        for pair in sizes.windows(2) {
            model.push(Linear::new(pair[0], pair[1], &generator, device)?);
            model.push(Relu);
        }
        let input = Tensor::ones([1, sizes[0]], DType::F32, device)?;
        let gradients = model.forward(&input)?.sum(.., false)?.backward()?;
        // Identities change with every step: the same gradients again, for the leaves of now.
        let gradients: Vec<Tensor> =
            model.parameters().iter().filter_map(|parameter| gradients.get(parameter).cloned()).collect();
        let mut optimizer = Adam::new(1e-3);
        let mut times = Vec::new();
        for _ in 0..2000 {
            let mut map = osnova_tensor::Gradients::new();
            for (parameter, gradient) in model.parameters().iter().zip(&gradients) {
                if let Some(id) = parameter.node_id() {
                    map.insert(id, gradient.clone());
                }
            }
            let start = Instant::now();
            optimizer.step(&mut model, &map)?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        println!("{sizes:?}: {:.2} µs a step (median), {:.2} µs (best)", times[1000], times[0]);
    }
    Ok(())
}
