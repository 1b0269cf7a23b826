//! What depth, width and non-linearity do, by training small networks: the textbook's chapters 5, 7 and 8.

use osnova::nn::losses::{binary_cross_entropy_with_logits, mean_squared_error};
use osnova::nn::{BatchNorm, Forward, Head, Initializer, Mlp, Residual};
use osnova::prelude::*;

const XOR: ([[f32; 2]; 4], [[f32; 1]; 4]) =
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [[0.0], [1.0], [1.0], [0.0]]);

/// Full-batch steps of Adam; the losses before each.
fn train<M: Module + Forward>(
    model: &mut M,
    (input, target): (&Tensor, &Tensor),
    loss: fn(&Tensor, &Tensor) -> Result<Tensor>,
    learning_rate: f64,
    steps: usize,
) -> Result<Vec<f64>> {
    let mut optimizer = Adam::new(learning_rate);
    let mut losses = Vec::with_capacity(steps);
    for _ in 0..steps {
        let value = loss(&model.forward(input)?, target)?;
        losses.push(value.item()?);
        optimizer.step(model, &value.backward()?)?;
    }
    Ok(losses)
}

#[test]
fn textbook_8_stacked_linear_layers_are_one() -> Result<()> {
    let (device, generator) = (Device::cpu(), Generator::new(1));
    let layers = [(7, 20), (20, 15), (15, 3)]
        .map(|(inputs, outputs)| Linear::options(inputs, outputs).dtype(DType::F64).build(&generator, device).unwrap());
    let input = Tensor::normal([50, 7], 0.0, 3.0, DType::F64, &generator, device)?;
    let stacked = layers.iter().try_fold(input.clone(), |signal, layer| layer.forward(&signal))?;
    // W = W₃W₂W₁ and b = W₃(W₂b₁ + b₂) + b₃.
    let (weight, bias) = layers[1..].iter().try_fold(
        (layers[0].weight.value(), layers[0].bias.as_ref().unwrap().value()),
        |(weight, bias), layer| -> Result<_> {
            let bias = (layer.weight.matmul(&bias)? + layer.bias.as_ref().unwrap().tensor())?;
            Ok((layer.weight.matmul(&weight)?, bias))
        },
    )?;
    let one = input.linear(&weight, Some(&bias), Activation::Identity)?;
    let difference = (stacked - one)?.abs()?.max(.., false)?.item()?;
    assert!(difference < 1e-5, "{difference}");
    Ok(())
}

#[test]
fn textbook_8_no_linear_model_learns_exclusive_or() -> Result<()> {
    let device = Device::cpu().autodiff();
    let (input, target) = (Tensor::new(XOR.0, device)?, Tensor::new(XOR.1, device)?);
    // However many linear layers: the best that one can do is ½ everywhere, a mean squared error of ¼.
    for hidden in [&[][..], &[8, 8]] {
        let identity = osnova::nn::Identity;
        let mut model =
            Mlp::options(2, hidden, Head::Regression(1)).activation(identity).build(&Generator::new(2), device)?;
        let losses = train(&mut model, (&input, &target), mean_squared_error, 0.02, 1000)?;
        assert!(losses.iter().all(|loss| *loss >= 0.25 - 1e-6) && (losses[999] - 0.25).abs() < 1e-4, "{}", losses[999]);
        let mut model = Mlp::options(2, hidden, Head::Binary).activation(identity).build(&Generator::new(2), device)?;
        train(&mut model, (&input, &target), binary_cross_entropy_with_logits, 0.02, 1000)?;
        let right = model.decide(&input)?.to_dtype(DType::F32)?.equal(&target)?.to_vec::<bool>()?;
        assert!(right.iter().filter(|right| **right).count() <= 3, "at most 75 %");
    }
    Ok(())
}

#[test]
fn textbook_8_two_hidden_units_learn_exclusive_or() -> Result<()> {
    let device = Device::cpu().autodiff();
    let (input, target) = (Tensor::new(XOR.0, device)?, Tensor::new(XOR.1, device)?);
    let solves = |width: usize, seed: u64| -> Result<bool> {
        let options = Mlp::options(2, &[width], Head::Binary).activation(Tanh);
        let mut model = options.build(&Generator::new(seed), device)?;
        let losses = train(&mut model, (&input, &target), binary_cross_entropy_with_logits, 0.1, 300)?;
        let right = model.decide(&input)?.to_dtype(DType::F32)?.equal(&target)?.to_vec::<bool>()?;
        Ok(right.iter().all(|right| *right) && losses[299] < 0.05)
    };
    let solved = |width| (0..10).map(|seed| solves(width, seed)).filter(|solved| matches!(solved, Ok(true))).count();
    // Two units are enough, but many starts lead into a valley from which no small step leads out: try again.
    let (two, eight) = (solved(2), solved(8));
    assert!(two >= 1, "a start with two units succeeds");
    assert!(eight >= 9 && eight > two, "width makes it easy: {eight} of 10 with eight units, {two} with two");
    Ok(())
}

/// The largest error over [0, 1] of one hidden layer of sigmoids, trained from evenly spread steps.
fn sup_error(width: usize, function: fn(f64) -> f64) -> Result<f64> {
    let device = Device::cpu().autodiff();
    let points: Vec<f64> = (0..=200).map(|at| f64::from(at) / 200.0).collect();
    let input = Tensor::from_vec(points.clone(), [201, 1], device)?;
    let target = Tensor::from_vec(points.into_iter().map(function).collect(), [201, 1], device)?;
    // σ(s(x − c)): steps whose middles c are evenly spread and that meet each other.
    let middles = Tensor::linspace(-0.1, 1.1, width, DType::F64, device)?;
    let mut model = Mlp::options(1, &[width], Head::Regression(1))
        .activation(Sigmoid)
        .weight(Initializer::Constant(0.0))
        .dtype(DType::F64)
        .build(&Generator::new(5), device)?;
    let slope = 1.5 * width as f64;
    let mut parameters = model.parameters_mut();
    let steepness = Tensor::full([width, 1], slope, DType::F64, device)?;
    parameters[0].set_value(steepness)?;
    parameters[1].set_value((middles * -slope)?)?;
    let mut optimizer = Adam::new(0.03);
    for step in 0..1500 {
        if step == 1000 {
            optimizer.set_learning_rate(0.003);
        }
        let loss = mean_squared_error(&model.forward(&input)?, &target)?;
        optimizer.step(&mut model, &loss.backward()?)?;
    }
    (model.forward(&input)?.detach() - target.detach())?.abs()?.max(.., false)?.item()
}

#[test]
fn textbook_7_sigmoids_approximate_a_continuous_function() -> Result<()> {
    let function = |x: f64| (2.0 * std::f64::consts::TAU * x).sin() * x + (x - 0.4).abs();
    let errors = [2, 4, 8, 32].map(|width| sup_error(width, function).unwrap());
    assert!(errors.windows(2).all(|pair| pair[1] < 0.8 * pair[0]), "wider is better: {errors:?}");
    assert!(errors[3] < 0.05, "{errors:?}");
    Ok(())
}

/// Blocks of a given kind between two linear layers of this width.
fn tower(
    block: impl Fn(&Generator, Device) -> Result<Box<dyn osnova::nn::Layer>>,
    device: Device,
) -> Result<Sequential> {
    let generator = Generator::new(3);
    let mut model = Sequential::new().with(Linear::new(2, WIDTH, &generator, device)?);
    for _ in 0..100 {
        model.layers_mut().push(block(&generator, device)?);
    }
    model.push(Linear::new(WIDTH, 1, &generator, device)?);
    Ok(model)
}

const WIDTH: usize = 8;

#[test]
fn textbook_5_a_hundred_residual_layers_train_where_plain_ones_do_not() -> Result<()> {
    let device = Device::cpu().autodiff();
    let input = Tensor::uniform([64, 2], -1.0, 1.0, DType::F32, &Generator::new(4), device)?;
    // Whether both coordinates have the same sign: not linear.
    let product = (input.narrow(1, 0, 1)? * input.narrow(1, 1, 1)?)?;
    let target = product.greater(0.0)?.to_dtype(DType::F32)?;
    let layer = |generator: &Generator, device| Linear::new(WIDTH, WIDTH, generator, device);
    let mut plain =
        tower(|generator, device| Ok(Box::new(Sequential::new().with(layer(generator, device)?).with(Tanh))), device)?;
    let mut residual = tower(
        |generator, device| {
            let body =
                Sequential::new().with(BatchNorm::new(WIDTH, device)?).with(Tanh).with(layer(generator, device)?);
            Ok(Box::new(Residual::new(body)))
        },
        device,
    )?;
    let last = |losses: &[f64]| losses[losses.len() - 10..].iter().sum::<f64>() / 10.0;
    let stuck = last(&train(&mut plain, (&input, &target), binary_cross_entropy_with_logits, 3e-3, 150)?);
    let learned = last(&train(&mut residual, (&input, &target), binary_cross_entropy_with_logits, 3e-3, 150)?);
    // ln 2 is what a coin costs.
    assert!(stuck > 0.65, "a hundred plain layers: {stuck}");
    assert!(learned < 0.2, "a hundred residual layers: {learned}");

    // The reason: what is left of the gradient at the bottom.
    let at_the_bottom = |model: &Sequential| -> Result<f64> {
        let gradients = binary_cross_entropy_with_logits(&model.forward(&input)?, &target)?.backward()?;
        gradients.get(model.parameters()[0].tensor()).unwrap().square()?.sum(.., false)?.sqrt()?.item()
    };
    let (plain, residual) = (at_the_bottom(&plain)?, at_the_bottom(&residual)?);
    assert!(plain < 1e-8 && residual > 1e-4, "{plain} {residual}");
    Ok(())
}
