//! Checkpoints: the same gradients from a record that is made twice.

mod common;

use common::{close, constant, leaf, plain, recording};
use osnova_autodiff::{
    AutodiffDevice, CheckedDevice, ForwardDevice, ProfiledDevice, checkpoint, checkpoint_many, grad, gradcheck,
    gradgradcheck, hvp, jvp,
};
use osnova_tensor::{DType, Error, Generator, Result, Tensor};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn gradients_of_inputs_and_of_what_was_captured() -> Result<()> {
    let (x, y, w) = (leaf([1.0, 2.0]), leaf([3.0, 5.0]), leaf([0.5, -1.0]));
    // w is a leaf, v is recorded itself.
    let v = w.exp()?;
    let run = |x: &Tensor, y: &Tensor, w: &Tensor, v: &Tensor| {
        let product = (x * y)?;
        ((product * w)? + v)?.tanh()? * v
    };
    let expected = run(&x, &y, &w, &v)?.sum(.., false)?.backward_retaining()?;
    let (w2, v2) = (w.clone(), v.clone());
    let output = checkpoint(move |i| run(&i[0], &i[1], &w2, &v2), &[x.clone(), y.clone()])?;
    assert!(output.is_tracked());
    close(&output, &run(&x, &y, &w, &v)?.to_vec::<f64>()?);
    let gradients = output.sum(.., false)?.backward()?;
    for tensor in [&x, &y, &w] {
        close(gradients.get(tensor).unwrap(), &expected.get(tensor).unwrap().to_vec::<f64>()?);
    }
    assert_eq!(gradients.len(), 3);
    Ok(())
}

#[test]
fn inputs_twice_unused_handed_on_and_captured_as_well() -> Result<()> {
    let x = leaf([1.0, 2.0]);
    let output = checkpoint(|i| &i[0] * &i[1], &[x.clone(), x.clone()])?;
    close(output.sum(.., false)?.backward()?.get(&x).unwrap(), &[2.0, 4.0]);

    let (own, unused, constants) = (x.clone(), leaf(1.0), constant([10.0, 100.0]));
    let f = move |i: &[Tensor]| (&i[0] * &own)? * &i[2];
    let output = checkpoint(f, &[x.clone(), unused.clone(), constants])?;
    let gradients = output.sum(.., false)?.backward()?;
    close(gradients.get(&x).unwrap(), &[20.0, 400.0]);
    assert!(gradients.get(&unused).is_none());

    let outside = leaf([5.0, 6.0]);
    let captured = outside.clone();
    let outputs = checkpoint_many(move |i| Ok(vec![i[0].clone(), captured.clone()]), std::slice::from_ref(&x))?;
    let gradients = ((&outputs[0] * 2.0)? + (&outputs[1] * 3.0)?)?.sum(.., false)?.backward()?;
    close(gradients.get(&x).unwrap(), &[2.0, 2.0]);
    close(gradients.get(&outside).unwrap(), &[3.0, 3.0]);
    Ok(())
}

#[test]
fn several_results_some_unused_and_some_without_gradients() -> Result<()> {
    let x = leaf([3.0, 1.0, 2.0]);
    let f = |i: &[Tensor]| {
        let (sorted, order) = i[0].sort(0, false)?;
        Ok(vec![sorted, order, i[0].square()?, constant(7.0)])
    };
    let outputs = checkpoint_many(f, std::slice::from_ref(&x))?;
    assert_eq!(outputs[1].to_vec::<i64>()?, [1, 2, 0]);
    assert!(!outputs[1].is_tracked());
    let weights = constant([1.0, 10.0, 100.0]);
    let gradients = (&outputs[0] * &weights)?.sum(.., false)?.backward_retaining()?;
    close(gradients.get(&x).unwrap(), &[100.0, 1.0, 10.0]);
    // Both, by a second pass over the record that was kept.
    let loss = ((&outputs[0] * weights)? + &outputs[2])?.sum(.., false)?;
    close(loss.backward()?.get(&x).unwrap(), &[106.0, 3.0, 14.0]);
    // The first pass kept it, the second did not.
    let error = loss.backward().unwrap_err();
    assert!(matches!(*error, Error::Gradient { .. }), "{error}");
    assert!(checkpoint_many(|_| Ok(vec![]), &[x])?.is_empty());
    Ok(())
}

/// A function that counts how often it ran.
fn counted() -> (Arc<AtomicUsize>, impl Fn(&[Tensor]) -> Result<Tensor> + Clone + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let f = move |i: &[Tensor]| {
        count.fetch_add(1, Ordering::Relaxed);
        i[0].sin()?.exp()
    };
    (runs, f)
}

#[test]
fn it_runs_once_forward_and_once_for_each_pass_back() -> Result<()> {
    let (runs, f) = counted();
    let x = leaf([0.3, 0.4]);
    let loss = checkpoint(f.clone(), &[x])?.sum(.., false)?;
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    loss.backward_retaining()?;
    loss.backward()?;
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    // Nothing to differentiate: it simply runs.
    assert!(!checkpoint(f.clone(), &[constant([1.0])])?.is_tracked());
    assert!(!checkpoint(f.clone(), &[constant([1.0]).to_device(recording())?])?.is_tracked());
    assert_eq!(runs.load(Ordering::Relaxed), 5);
    Ok(())
}

#[test]
fn the_function_is_let_go_after_the_pass() -> Result<()> {
    let (x, held) = (leaf([1.0, 2.0]), Arc::new(()));
    let inside = held.clone();
    let f = move |i: &[Tensor]| {
        let _ = &inside;
        i[0].exp()
    };
    let loss = checkpoint(f, &[x])?.sum(.., false)?;
    assert_eq!(Arc::strong_count(&held), 2);
    loss.backward_retaining()?;
    assert_eq!(Arc::strong_count(&held), 2);
    loss.backward()?;
    assert_eq!(Arc::strong_count(&held), 1);
    Ok(())
}

/// Layers in checkpoints, those in pairs in checkpoints, as a binary tree.
fn nested(x: &Tensor, depth: usize) -> Result<Tensor> {
    if depth == 0 {
        return x.tanh()? + (x * 0.5)?;
    }
    checkpoint(move |i| nested(&nested(&i[0], depth - 1)?, depth - 1), std::slice::from_ref(x))
}

#[test]
fn checkpoints_nest() -> Result<()> {
    let flat = |x: &[Tensor]| {
        let mut y = x[0].clone();
        for _ in 0..8 {
            y = (y.tanh()? + (&y * 0.5)?)?;
        }
        y.sum(.., false)
    };
    let x = [constant([0.3, -0.7])];
    let expected = grad(flat, &x)?[0].to_vec::<f64>()?;
    close(&grad(|x| nested(&x[0], 3)?.sum(.., false), &x)?[0], &expected);
    Ok(())
}

#[test]
fn derivatives_of_any_order() -> Result<()> {
    let w = constant([[0.5, -0.3], [0.2, 0.9]]);
    let f = move |x: &[Tensor]| {
        let w = w.clone();
        checkpoint(move |i| (&w.matmul(&i[0])?.sin()? * &i[1])?.exp(), x)
    };
    let x = [constant([0.4, -0.8]), constant([1.1, 0.3])];
    gradcheck(&f, &x, osnova_autodiff::Settings::default()).unwrap();
    gradgradcheck(&f, &x, osnova_autodiff::Settings::default()).unwrap();
    // Forward mode runs the function as it is, over and under a record.
    let sum = |x: &[Tensor]| f(x)?.sum(.., false);
    let u = [constant([1.0, 2.0]), constant([-1.0, 0.5])];
    let (value, change) = jvp(sum, &x, &u)?;
    let slope = grad(sum, &x)?;
    let expected: f64 = (&slope[0] * &u[0])?.sum(.., false)?.item()? + (&slope[1] * &u[1])?.sum(.., false)?.item()?;
    close(&change, &[expected]);
    close(&value, &[sum(&x)?.item()?]);
    let products = hvp(sum, &x, &u)?;
    let other = grad(|x| Ok(jvp(sum, x, &u)?.1), &x)?;
    for (product, other) in products.iter().zip(&other) {
        close(product, &other.to_vec::<f64>()?);
    }
    let x = leaf([1.0]).to_device(recording().forward_mode())?;
    assert!(checkpoint(|i| i[0].exp(), &[x])?.to_device(recording())?.is_tracked());
    Ok(())
}

#[test]
fn random_numbers_are_those_of_the_first_run() -> Result<()> {
    let generator = Arc::new(Generator::new(5));
    let inside = generator.clone();
    let f = move |i: &[Tensor]| {
        let mask = Tensor::bernoulli(*i[0].shape(), 0.5, DType::F64, &inside, plain())?;
        let noise = Tensor::normal(*i[0].shape(), 0.0, 1.0, DType::F64, &inside, plain())?;
        // Squared first, so that the derivative reads what was dropped.
        (i[0].square()? * mask)? * noise
    };
    let x = leaf([[1.0; 16]; 4]);
    let before = generator.position();
    let output = checkpoint(f, std::slice::from_ref(&x))?;
    let after = generator.position();
    assert_ne!(before, after);
    // x = 1: the output is the factor c of c·x², the gradient 2c.
    let factors = output.to_vec::<f64>()?;
    let expected: Vec<f64> = factors.iter().map(|factor| 2.0 * factor).collect();
    close(output.sum(.., false)?.backward()?.get(&x).unwrap(), &expected);
    assert_eq!(generator.position(), after);
    Ok(())
}

#[test]
fn functions_that_do_something_else_the_second_time_are_refused() -> Result<()> {
    let again = |first: fn(&Tensor) -> Result<Tensor>, second: fn(&Tensor) -> Result<Tensor>| {
        let runs = AtomicUsize::new(0);
        let f =
            move |i: &[Tensor]| if runs.fetch_add(1, Ordering::Relaxed) == 0 { first(&i[0]) } else { second(&i[0]) };
        let error = checkpoint(f, &[leaf([1.0, 2.0])])?.sum(.., false)?.backward().unwrap_err();
        assert!(matches!(*error, Error::Gradient { operation: "checkpoint", .. }), "{error}");
        Ok::<_, Box<Error>>(error.to_string())
    };
    static OUTSIDE: std::sync::LazyLock<Tensor> = std::sync::LazyLock::new(|| leaf([1.0, 1.0]));
    let random = |x: &Tensor| x * Tensor::uniform(2, 0.0, 1.0, DType::F64, &Generator::new(1), plain())?;
    assert!(again(Tensor::exp, random)?.contains("random numbers"));
    assert!(again(random, Tensor::exp)?.contains("random numbers"));
    assert!(again(Tensor::exp, |x| x.narrow(0, 0, 1))?.contains("other shapes"));
    assert!(again(Tensor::exp, |x| x * &*OUTSIDE)?.contains("other tensors"));
    let runs = AtomicUsize::new(0);
    let f = move |i: &[Tensor]| Ok(vec![i[0].clone(); 1 + runs.fetch_add(1, Ordering::Relaxed)]);
    let error = checkpoint_many(f, &[leaf(1.0)])?[0].backward().unwrap_err();
    assert!(error.to_string().contains("number of results"), "{error}");
    // An error in the function, in either run, comes out; the record goes on.
    let x = leaf([1.0]);
    assert!(checkpoint(|i| i[0].reshape([5usize]), std::slice::from_ref(&x)).is_err());
    close(x.square()?.sum(.., false)?.backward()?.get(&x).unwrap(), &[2.0]);
    let panicked = std::panic::catch_unwind(|| checkpoint(|_| panic!("on purpose"), &[leaf(1.0)]).is_ok());
    assert!(panicked.is_err());
    assert!(x.exp()?.is_tracked());
    Ok(())
}

#[test]
fn only_what_is_asked_for() -> Result<()> {
    let (x, w) = (leaf([1.0, 2.0]), leaf([3.0, 4.0]));
    let inside = w.clone();
    let output = checkpoint(move |i| &i[0] * &inside, std::slice::from_ref(&x))?;
    let wanted = [x.node_id().unwrap()];
    let gradients = output.sum(.., false)?.gradients(None, Some(&wanted), false)?;
    close(gradients.get(&x).unwrap(), &[3.0, 4.0]);
    assert!(gradients.get(&w).is_none());
    Ok(())
}

#[test]
fn work_is_done_twice_forward_and_once_back() -> Result<()> {
    // A device of the test's own, so that the table is too.
    let device = plain().checked().profiled();
    device.reset_report();
    let x = Tensor::new([[0.1, 0.2], [0.3, 0.4]], device.autodiff())?.into_tracked()?;
    let loss = checkpoint(|i| i[0].matmul(&i[0])?.sum(.., false), &[x])?;
    assert_eq!(device.report().unwrap().operation("matmul").unwrap().count, 1);
    loss.backward()?;
    // Once more forward, two for the gradient.
    assert_eq!(device.report().unwrap().operation("matmul").unwrap().count, 4);
    Ok(())
}

#[test]
fn long_chains_of_checkpoints() -> Result<()> {
    let x = leaf(1.0);
    let mut y = x.clone();
    for _ in 0..20_000 {
        y = checkpoint(|i| &i[0] * 1.0, &[y])?;
    }
    close(y.backward()?.get(&x).unwrap(), &[1.0]);
    let mut y = x;
    for _ in 0..20_000 {
        y = checkpoint(|i| &i[0] * 1.0, &[y])?;
    }
    drop(y);
    // Each holds the one before by what its function captured, and by nothing else.
    let x = leaf(1.0);
    let mut y = x.clone();
    for _ in 0..20_000 {
        let before = y;
        y = checkpoint(move |i| &before * &i[0], &[constant(1.0).to_device(recording())?])?;
    }
    close(y.backward()?.get(&x).unwrap(), &[1.0]);
    let mut y = x;
    for _ in 0..20_000 {
        let before = y;
        y = checkpoint(move |i| &before * &i[0], &[constant(1.0).to_device(recording())?])?;
    }
    drop(y);
    Ok(())
}
