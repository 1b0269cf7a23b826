//! The worked examples of the textbook chapters on back-propagation (3) and matrix calculus (9), by their numbers, in both modes.

mod common;

use common::{close, constant, leaf, plain, recording};
use osnova_autodiff::{AutodiffDevice, ProfiledDevice, grad, hessian, jacobian, jacobian_forward, jvp};
use osnova_tensor::{DType, Generator, Result, Tensor};
use std::cell::Cell;

#[test]
fn textbook_3_the_chain_rule_on_a_square() -> Result<()> {
    // ((3x + 2)²)′ = 6(3x + 2); at x = 4: 84
    let gradients = grad(|x| ((&x[0] * 3.0)? + 2.0)?.square(), &[constant(4.0)])?;
    close(&gradients[0], &[84.0]);
    let (value, slope) = jvp(|x| ((&x[0] * 3.0)? + 2.0)?.square(), &[constant(4.0)], &[constant(1.0)])?;
    close(&value, &[196.0]);
    close(&slope, &[84.0]);
    Ok(())
}

#[test]
fn textbook_3_a_network_of_two_three_and_one_unit_by_hand() -> Result<()> {
    // z₁ = W₁x + b₁, h = σ(z₁), z₂ = w₂·h + b₂, ŷ = σ(z₂), L = ½(y − ŷ)²
    let (x, y) = ([0.5, -1.0], 0.25);
    let w1 = [[0.1, 0.4], [-0.3, 0.2], [0.7, -0.5]];
    let b1 = [0.05, -0.1, 0.2];
    let (w2, b2) = ([0.6, -0.8, 0.3], 0.1);

    let parameters = [leaf(w1), leaf(b1), leaf([w2]), leaf([b2])];
    let [weight1, bias1, weight2, bias2] = &parameters;
    let input = constant(x);
    let hidden = (weight1.matmul(&input)? + bias1)?.sigmoid()?;
    let prediction = (weight2.matmul(&hidden)? + bias2)?.sigmoid()?;
    let loss = ((prediction - y)?.square()? * 0.5)?.sum(.., false)?;
    let gradients = loss.backward()?;

    let sigmoid = |z: f64| 1.0 / (1.0 + (-z).exp());
    let h: Vec<f64> = (0..3).map(|i| sigmoid(w1[i][0] * x[0] + w1[i][1] * x[1] + b1[i])).collect();
    let predicted = sigmoid((0..3).map(|i| w2[i] * h[i]).sum::<f64>() + b2);
    let delta2 = (predicted - y) * predicted * (1.0 - predicted);
    let delta1: Vec<f64> = (0..3).map(|i| delta2 * w2[i] * h[i] * (1.0 - h[i])).collect();
    let by_weight1: Vec<f64> = (0..3).flat_map(|i| [delta1[i] * x[0], delta1[i] * x[1]]).collect();
    let by_weight2: Vec<f64> = h.iter().map(|h| delta2 * h).collect();
    close(gradients.get(weight1).unwrap(), &by_weight1);
    close(gradients.get(bias1).unwrap(), &delta1);
    close(gradients.get(weight2).unwrap(), &by_weight2);
    close(gradients.get(bias2).unwrap(), &[delta2]);
    Ok(())
}

#[test]
fn textbook_9_the_gradient_of_a_quadratic_form() -> Result<()> {
    // ∇(x₁² + 2x₂²) = (2x₁, 4x₂)
    let f = |x: &[Tensor]| (x[0].square()? * constant([1.0, 2.0]))?.sum(.., false);
    close(&grad(f, &[constant([3.0, -5.0])])?[0], &[6.0, -20.0]);
    close(&hessian(f, &[constant([3.0, -5.0])])?[0][0], &[2.0, 0.0, 0.0, 4.0]);
    Ok(())
}

#[test]
fn textbook_9_the_jacobian_of_a_linear_map_is_its_matrix() -> Result<()> {
    let w = [[1.0, -2.0, 0.5], [0.0, 3.0, 4.0]];
    let jacobian = jacobian(|x| constant(w).matmul(&x[0]), &[constant([0.3, 0.1, -0.7])])?;
    assert_eq!(jacobian[0].dims(), [2, 3]);
    close(&jacobian[0], &w.concat());
    // By columns, three passes for two rows; and J·u without either.
    let x = [constant([0.3, 0.1, -0.7])];
    close(&jacobian_forward(|x| constant(w).matmul(&x[0]), &x)?[0], &w.concat());
    close(&jvp(|x| constant(w).matmul(&x[0]), &x, &[constant([1.0, 1.0, 2.0])])?.1, &[0.0, 11.0]);
    Ok(())
}

#[test]
fn textbook_9_the_gradient_of_the_squared_norm_and_of_a_linear_form() -> Result<()> {
    // ∇(xᵀx) = 2x, ∇(aᵀx) = a
    let x = constant([1.5, -2.0, 4.0]);
    close(&grad(|x| x[0].matmul(&x[0]), std::slice::from_ref(&x))?[0], &[3.0, -4.0, 8.0]);
    close(&grad(|x| constant([7.0, 8.0, 9.0]).matmul(&x[0]), &[x])?[0], &[7.0, 8.0, 9.0]);
    Ok(())
}

#[test]
fn textbook_9_the_jacobian_of_softmax() -> Result<()> {
    // ∂sᵢ/∂xⱼ = sᵢ(δᵢⱼ − sⱼ)
    let x = constant([2.0, 1.0, 0.1]);
    let s = x.softmax(0)?.to_vec::<f64>()?;
    assert!(s.iter().zip([0.659, 0.242, 0.099]).all(|(s, rounded)| (s - rounded).abs() < 5e-4));
    let expected: Vec<f64> =
        (0..9).map(|at| s[at / 3] * (if at / 3 == at % 3 { 1.0 } else { 0.0 } - s[at % 3])).collect();
    close(&jacobian(|x| x[0].softmax(0), std::slice::from_ref(&x))?[0], &expected);
    close(&jacobian_forward(|x| x[0].softmax(0), &[x])?[0], &expected);
    Ok(())
}

#[test]
fn textbook_9_the_gradient_of_softmax_and_cross_entropy_is_p_minus_y() -> Result<()> {
    let logits = [0.3f64, 0.5, 0.2].map(f64::ln);
    let gradients = grad(|x| x[0].cross_entropy(&constant([2i64])), &[constant([logits])])?;
    close(&gradients[0], &[0.3, 0.5, -0.8]);
    // Along each logit by itself, from the same fused operation.
    let along = |x: &[Tensor]| x[0].cross_entropy(&constant([2i64]));
    close(&jacobian_forward(along, &[constant([logits])])?[0], &[0.3, 0.5, -0.8]);
    Ok(())
}

#[test]
fn textbook_9_softmax_keeps_order_and_sums_to_one_at_any_temperature() -> Result<()> {
    let x = constant([2.0, 1.0, 0.1]);
    let at = |temperature: f64| (&x / temperature)?.softmax(0)?.to_vec::<f64>();
    for temperature in [0.05, 0.5, 1.0, 2.0, 100.0] {
        let s = at(temperature)?;
        assert!((s.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!(s[0] > s[1] && s[1] > s[2], "{s:?}");
    }
    // T → 0: all for the largest; T → ∞: the same for each.
    close(&constant([at(1e-3)?]), &[1.0, 0.0, 0.0]);
    let even = at(1e6)?;
    assert!(even.iter().all(|s| (s - 1.0 / 3.0).abs() < 1e-6), "{even:?}");
    Ok(())
}

#[test]
fn textbook_9_softmax_and_its_derivatives_are_stable_at_ten_thousand() -> Result<()> {
    for shift in [1e4, -1e4] {
        let x = [constant([2.0 + shift, 1.0 + shift, 0.1 + shift])];
        let s = x[0].softmax(0)?.to_vec::<f64>()?;
        assert!(s.iter().zip([0.659, 0.242, 0.099]).all(|(s, rounded)| (s - rounded).abs() < 5e-4), "{s:?}");
        let (rows, columns) = (jacobian(|x| x[0].softmax(0), &x)?, jacobian_forward(|x| x[0].softmax(0), &x)?);
        close(&columns[0], &rows[0].to_vec::<f64>()?);
    }
    // p = (1, 0): the loss of the wrong class is the distance, the gradient p − y.
    let x = [constant([[1e4, -1e4]])];
    let loss = |x: &[Tensor]| x[0].cross_entropy(&constant([1i64]));
    close(&loss(&x)?, &[2e4]);
    close(&grad(loss, &x)?[0], &[1.0, -1.0]);
    close(&jvp(loss, &x, &[constant([[1.0, 0.5]])])?.1, &[0.5]);
    Ok(())
}

#[test]
fn textbook_3_numerical_differentiation_takes_two_passes_a_parameter() -> Result<()> {
    // The 2–3–1 network has 6 + 3 + 3 + 1 = 13 parameters: 26 evaluations, where the backward pass takes one.
    let device = plain().profiled();
    let point = Tensor::normal(13, 0.0, 1.0, DType::F64, &Generator::new(3), device)?;
    let evaluations = Cell::new(0);
    let loss = |p: &[Tensor]| {
        evaluations.set(evaluations.get() + 1);
        let part = |from: usize, length: usize| p[0].narrow(0, from, length);
        let input = Tensor::new([0.5, -1.0], device)?;
        let hidden = (part(0, 6)?.reshape([3usize, 2])?.matmul(&input)? + part(6, 3)?)?.sigmoid()?;
        let prediction = (part(9, 3)?.matmul(&hidden)? + part(12, 1)?.reshape([0usize; 0])?)?.sigmoid()?;
        (prediction - 0.25)?.square()? * 0.5
    };
    let operations = || device.report().unwrap_or_default().operations.iter().map(|row| row.count).sum::<u64>();

    device.reset_report();
    loss(std::slice::from_ref(&point))?;
    let one_pass = operations();
    evaluations.set(0);
    device.reset_report();
    let exact = grad(loss, std::slice::from_ref(&point))?[0].to_vec::<f64>()?;
    assert_eq!(evaluations.get(), 1);
    let by_backward = operations();
    // A gradient costs a small multiple of the value, whatever the number of parameters.
    assert!(by_backward <= 4 * one_pass, "{by_backward} operations for {one_pass}");

    evaluations.set(0);
    device.reset_report();
    let values = point.to_vec::<f64>()?;
    let step = 1e-5;
    for (at, exact) in exact.iter().enumerate() {
        let moved = |by: f64| {
            let mut values = values.clone();
            values[at] += by;
            loss(&[Tensor::from_vec(values, 13, device)?])?.item()
        };
        let numeric = (moved(step)? - moved(-step)?) / (2.0 * step);
        assert!((numeric - exact).abs() < 1e-9, "parameter {at}: {numeric} and {exact}");
    }
    assert_eq!(evaluations.get(), 2 * 13);
    assert!(operations() >= 2 * 13 * one_pass);
    Ok(())
}

#[test]
fn textbook_25_reparametrisation_carries_gradients_to_mean_and_deviation() -> Result<()> {
    // z = μ + σ·ε: ∂z/∂μ = 1, ∂z/∂σ = ε
    let (mean, deviation) = (leaf(0.5), leaf(0.2));
    let z = ((&deviation * constant(1.3))? + &mean)?;
    close(&z, &[0.76]);
    let gradients = z.backward()?;
    close(gradients.get(&mean).unwrap(), &[1.0]);
    close(gradients.get(&deviation).unwrap(), &[1.3]);
    Ok(())
}

#[test]
fn textbook_9_a_hessian_of_fifteen_by_fifteen_against_central_differences() -> Result<()> {
    // A network 2–3–1 with 9 + 4 parameters and its 2 inputs: all 15 numbers in one vector.
    let function = |v: &[Tensor]| {
        let v = &v[0];
        let part = |from: usize, length: usize| v.narrow(0, from, length);
        let hidden = (part(0, 6)?.reshape([3usize, 2])?.matmul(&part(13, 2)?)? + part(6, 3)?)?.tanh()?;
        let output = (part(9, 3)?.matmul(&hidden)? + part(12, 1)?.sum(.., false)?)?;
        (output.sigmoid()? - 0.3)?.square()
    };
    let generator = Generator::new(7);
    let point = Tensor::normal(15, 0.0, 1.0, DType::F64, &generator, plain())?;
    let hessian = &hessian(function, std::slice::from_ref(&point))?[0][0];
    assert_eq!(hessian.dims(), [15, 15]);
    let exact = hessian.to_vec::<f64>()?;
    let at = point.to_vec::<f64>()?;
    let step = 1e-5;
    for column in 0..15 {
        let moved = |by: f64| -> Result<Vec<f64>> {
            let mut moved = at.clone();
            moved[column] += by;
            grad(function, &[Tensor::from_vec(moved, 15, plain())?])?[0].to_vec()
        };
        let (above, below) = (moved(step)?, moved(-step)?);
        for row in 0..15 {
            let numeric = (above[row] - below[row]) / (2.0 * step);
            assert!((numeric - exact[row * 15 + column]).abs() < 1e-8, "{row} {column}");
            assert!((exact[row * 15 + column] - exact[column * 15 + row]).abs() < 1e-12, "not symmetric");
        }
    }
    Ok(())
}

#[test]
fn textbook_9_second_derivatives_by_hand_on_nested_devices() -> Result<()> {
    // f = x³: f′ = 3x², f″ = 6x, f‴ = 6; at x = 2: 12, 12, 6
    let second = recording().autodiff();
    let third = second.autodiff();
    let x1 = leaf(2.0);
    let x2 = x1.to_device(second)?.into_tracked()?;
    let x3 = x2.to_device(third)?.into_tracked()?;
    let f = (x3.square()? * &x3)?;
    let first = f.backward()?.remove(&x3).unwrap();
    assert_eq!(first.device(), second);
    close(&first, &[12.0]);
    let derivative = first.backward()?.remove(&x2).unwrap();
    close(&derivative, &[12.0]);
    close(&derivative.backward()?.remove(&x1).unwrap(), &[6.0]);
    Ok(())
}
