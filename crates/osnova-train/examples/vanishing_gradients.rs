//! Ten layers of sigmoid beside ten of ReLU with He initialisation: gradient norms by layer, as a table and as pictures.
//!
//! ```text
//! cargo run --release -p osnova-train --example vanishing_gradients -- [folder for the pictures]
//! ```

use osnova_autodiff::AutodiffDevice;
use osnova_cpu::CpuDevice;
use osnova_data::{DataLoader, StandardScaler, Transform, digits};
use osnova_nn::{Fan, Initializer, Linear, Nonlinearity, Relu, Sequential, Sigmoid};
use osnova_optim::Sgd;
use osnova_tensor::{Device, Generator};
use osnova_train::{Classification, Doctor, Result, Trainer};
use std::path::PathBuf;

const LAYERS: usize = 10;
const WIDTH: usize = 64;

fn model(sigmoid: bool) -> Result<Sequential> {
    let (generator, device) = (Generator::new(0), Device::cpu().autodiff());
    let weight = match sigmoid {
        true => Initializer::XavierNormal { gain: 1.0 },
        false => Initializer::HeNormal { fan: Fan::In, nonlinearity: Nonlinearity::Relu },
    };
    let mut model = Sequential::new();
    for layer in 0..LAYERS {
        let outputs = if layer + 1 == LAYERS { 10 } else { WIDTH };
        let options = Linear::options(64, outputs).weight(weight).bias(Initializer::Zeros);
        model.push(options.build(&generator, device)?);
        match (layer + 1 == LAYERS, sigmoid) {
            (true, _) => {}
            (false, true) => model.push(Sigmoid),
            (false, false) => model.push(Relu),
        }
    }
    Ok(model)
}

fn examine(sigmoid: bool) -> Result<Trainer> {
    let data = digits()?;
    let scaler = StandardScaler::new().fit(&data)?;
    let mut train = DataLoader::new(scaler.apply(&data)?, 32)?.shuffle(0);
    let mut trainer = Trainer::new(5).callback(Doctor::new());
    trainer.fit(&mut Classification, &mut model(sigmoid)?, &mut Sgd::new(0.01), &mut train, None)?;
    Ok(trainer)
}

fn main() -> Result<()> {
    let (sigmoid, relu) = (examine(true)?, examine(false)?);
    let doctors = [&sigmoid, &relu].map(|trainer| trainer.find_callback::<Doctor>());
    let [Some(sigmoid), Some(relu)] = doctors else { return Ok(()) };
    println!("| layer | sigmoid | ReLU + He |\n|---|---|---|");
    for (number, (left, right)) in sigmoid.gradient_norms().iter().zip(relu.gradient_norms()).enumerate() {
        println!("| {} | {:.1e} | {:.2} |", number + 1, left.1[0].1, right.1[0].1);
    }
    if let Some(folder) = std::env::args().nth(1).map(PathBuf::from) {
        sigmoid.save_gradient_flow(folder.join("gradient-flow-sigmoid.svg"))?;
        relu.save_gradient_flow(folder.join("gradient-flow-relu.svg"))?;
    }
    Ok(())
}
