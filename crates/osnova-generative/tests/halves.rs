//! Models in half types: what is measured in nats is computed in `f32`.

use osnova_cpu::CpuDevice;
use osnova_generative::{CodePrior, DiagonalGaussian, GenerativeModel, Likelihood, Sparsity, VariationalAutoencoder};
use osnova_nn::{Linear, Module};
use osnova_tensor::{DType, Device, Generator, Tensor};

const HALVES: [DType; 2] = [DType::F16, DType::BF16];

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_host().unwrap().to_f64()
}

fn assert_near(actual: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(actual.shape(), expected.shape());
    for (actual, expected) in values(actual).into_iter().zip(values(expected)) {
        assert!((actual - expected).abs() <= tolerance * expected.abs().max(1.0), "{actual} instead of {expected}");
    }
}

/// Means whose squares overflow f16, and sums that bf16 would round by whole nats.
#[test]
fn divergences_and_densities() {
    for dtype in HALVES {
        let generator = Generator::new(1);
        let draw = |deviation: f64| Tensor::normal([5, 300], 0.0, deviation, DType::F32, &generator, Device::cpu());
        let [mean, log_variance, code] = [300.0, 2.0, 200.0].map(|size| draw(size).unwrap().to_dtype(dtype).unwrap());
        let wide = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
        let half = DiagonalGaussian::new(mean.clone(), log_variance.clone()).unwrap();
        let exact = DiagonalGaussian::new(wide(&mean), wide(&log_variance)).unwrap();
        assert_near(&half.kl_to_standard_normal().unwrap(), &exact.kl_to_standard_normal().unwrap(), 1e-5);
        assert_near(&half.log_density(&code).unwrap(), &exact.log_density(&wide(&code)).unwrap(), 1e-4);
        let noise = draw(1.0).unwrap().to_dtype(dtype).unwrap();
        let sample = half.sample_with(&noise).unwrap();
        assert_eq!(sample.dtype(), dtype);
        assert_near(&sample, &exact.sample_with(&wide(&noise)).unwrap(), 0.51 * dtype.epsilon());
    }
}

#[test]
fn losses_of_models() {
    let (device, generator) = (Device::cpu(), Generator::new(2));
    let input = Tensor::normal([64, 900], 0.0, 3.0, DType::F32, &generator, device).unwrap();
    for dtype in HALVES {
        for likelihood in [Likelihood::SquaredError, Likelihood::LearnedGaussian { standard_deviation: 20.0 }] {
            let build = |dtype: DType| {
                let layer = |from: usize, to: usize| {
                    let linear = Linear::options(from, to).dtype(dtype);
                    linear.build(&Generator::new(3), device).unwrap()
                };
                let options = VariationalAutoencoder::options(layer(900, 8), layer(4, 900), 4).likelihood(likelihood);
                options.build(&Generator::new(4)).unwrap()
            };
            let (mut half, mut exact) = (build(dtype), build(DType::F32));
            let cast = |(name, tensor): (&str, &Tensor)| (name.to_owned(), tensor.to_dtype(DType::F32).unwrap());
            exact.load_state_dict(&half.state_dict().iter().map(cast).collect()).unwrap();
            half.eval();
            exact.eval();
            let rounded = input.to_dtype(dtype).unwrap();
            let total = |model: &VariationalAutoencoder, input: &Tensor| {
                model.loss(input, None).unwrap().total(|_| 1.0).unwrap().item().unwrap()
            };
            // Of the squares of a batch, half a million, f16 holds 65504; the forward passes differ by what they round.
            let (half, exact) = (total(&half, &rounded), total(&exact, &rounded.to_dtype(DType::F32).unwrap()));
            assert!((half / exact - 1.0).abs() < 4.0 * dtype.epsilon(), "{dtype}: {half} instead of {exact}");
        }
    }
}

#[test]
fn code_priors_and_sparsities() {
    let (device, generator) = (Device::cpu(), Generator::new(5));
    for dtype in HALVES {
        // 5000 products of 100 · 100: beyond f16 before they are divided by their number.
        let codes = (Tensor::normal([5000, 2], 50.0, 100.0, DType::F32, &generator, device).unwrap()).to_dtype(dtype);
        let mut prior = CodePrior::new(2, dtype, device).unwrap();
        prior.fit(&codes.unwrap()).unwrap();
        let drawn = prior.sample(5000, &generator).unwrap();
        assert_eq!(drawn.dtype(), dtype);
        let drawn = drawn.to_dtype(DType::F64).unwrap();
        let deviation = values(&drawn.var(0, 1, false).unwrap().sqrt().unwrap());
        assert!(deviation.iter().all(|deviation| (deviation - 100.0).abs() < 5.0), "{deviation:?}");

        let codes = (Tensor::uniform([3000, 7], 0.0, 0.1, DType::F32, &generator, device).unwrap()).to_dtype(dtype);
        let codes = codes.unwrap();
        for sparsity in [Sparsity::L1, Sparsity::Kl { target: 0.05, momentum: None }] {
            let exact = sparsity.penalty(&codes.to_dtype(DType::F64).unwrap()).unwrap();
            assert_near(&sparsity.penalty(&codes).unwrap(), &exact, 1e-5);
        }
    }
}
