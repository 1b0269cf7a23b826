//! Where an autoencoder without a prior takes new codes from.

use crate::gaussian::wide;
use osnova_nn::{Buffer, Module};
use osnova_tensor::{DType, Device, Error, Generator, HostData, Result, Tensor};

/// Codes whose products are summed on the device; the sums of many go on in `f64`.
const ROWS: usize = 4096;

/// A normal distribution fitted to the codes of the training data once training is over: the prior of an autoencoder that
/// has none of its own (Ghosh et al. 2020 call it ex-post density estimation). Before, it is the standard normal distribution.
///
/// Buffers: `mean`, `[latent]`, and `factor`, `[latent, latent]`, the Cholesky factor of the covariance. They are saved with
/// the model.
#[derive(Module, Clone, Debug)]
pub struct CodePrior {
    mean: Buffer,
    factor: Buffer,
}

impl CodePrior {
    /// The standard normal distribution.
    ///
    /// # Errors
    /// No latent features, out of memory.
    pub fn new(latent_features: usize, dtype: DType, device: Device) -> Result<Self> {
        if latent_features == 0 {
            return Err(Error::argument("code_prior", "there are no latent features", "Give at least one"));
        }
        let device = device.without_recording();
        Ok(Self {
            mean: Buffer::new(Tensor::zeros([latent_features], dtype, device)?),
            factor: Buffer::new(Tensor::eye(latent_features, dtype, device)?),
        })
    }

    /// Takes mean and covariance from codes, `[samples, latent]`.
    ///
    /// # Errors
    /// Codes of another width, fewer than two, or that are not finite. The distribution stays as it was then.
    pub fn fit(&mut self, codes: &Tensor) -> Result<()> {
        let latent = self.mean.value().count();
        let (samples, width) = match *codes.dims() {
            [samples, width] => (samples, width),
            _ => (0, 0),
        };
        if width != latent || samples < 2 {
            return Err(Error::shape(
                "code_prior",
                [*codes.shape()],
                format!("codes of the shape [at least 2, {latent}] are needed"),
                "Give the encoded training data",
            ));
        }
        let values = codes.to_host()?.to_f64();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::argument("code_prior", "a code is not finite", "Look for NaN in the data or the model"));
        }
        let mut mean = vec![0.0; latent];
        for row in values.chunks_exact(latent) {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / samples as f64);
        }
        let old = self.mean.value();
        let place = |values: &[f64], shape: &[usize], dtype: DType| -> Result<Tensor> {
            // In the dtype at once: not every device has 64 bits.
            Tensor::from_host(HostData::from_f64(dtype, values), shape, old.device())
        };
        // Products of many codes leave the range of a half type.
        let computed = old.dtype().accumulator();
        let centre = place(&mean, &[latent], computed)?;
        let codes = codes.detach().to_device(old.device())?.to_dtype(computed)?;
        let mut covariance = vec![0.0; latent * latent];
        for start in (0..samples).step_by(ROWS) {
            let rows = (codes.narrow(0, start, ROWS.min(samples - start))? - &centre)?;
            let products = rows.t()?.matmul(&rows)?.to_host()?.to_f64();
            covariance.iter_mut().zip(products).for_each(|(sum, product)| *sum += product / (samples - 1) as f64);
        }
        let factor = cholesky(&covariance, latent);
        let factor = place(&factor, &[latent, latent], old.dtype())?;
        self.mean.set(centre.to_dtype(old.dtype())?)?;
        self.factor.set(factor)
    }

    /// Codes from the distribution, `[count, latent]`.
    ///
    /// # Errors
    /// Out of memory.
    pub fn sample(&self, count: usize, generator: &Generator) -> Result<Tensor> {
        let mean = self.mean.value();
        let noise = Tensor::normal([count, mean.count()], 0.0, 1.0, mean.dtype(), generator, mean.device())?;
        let codes = (wide(&noise)?.matmul(&wide(&self.factor.value())?.t()?)? + wide(&mean)?)?;
        codes.to_dtype(mean.dtype())
    }
}

/// The lower triangular L with L·Lᵀ the matrix. A direction without variance (a code unit that never speaks) gets a column of
/// zeros.
fn cholesky(matrix: &[f64], size: usize) -> Vec<f64> {
    let mut factor = vec![0.0; size * size];
    let largest = (0..size).map(|i| matrix[i * size + i]).fold(0.0, f64::max);
    for column in 0..size {
        for row in column..size {
            let done: f64 = (0..column).map(|k| factor[row * size + k] * factor[column * size + k]).sum();
            let left = matrix[row * size + column] - done;
            factor[row * size + column] = if row == column {
                if left > 1e-12 * largest { left.sqrt() } else { 0.0 }
            } else {
                let pivot = factor[column * size + column];
                if pivot > 0.0 { left / pivot } else { 0.0 }
            };
        }
    }
    factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use osnova_cpu::CpuDevice;

    #[test]
    fn samples_have_the_mean_and_covariance_of_the_codes() {
        let generator = Generator::new(3);
        let noise = Tensor::normal([4000, 3], 0.0, 1.0, DType::F64, &generator, Device::cpu()).unwrap();
        // The third unit never speaks.
        let mix = Tensor::new([[2.0, 1.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]], Device::cpu()).unwrap();
        let codes = (noise.matmul(&mix.to_dtype(DType::F64).unwrap()).unwrap() + 1.0).unwrap();
        let mut prior = CodePrior::new(3, DType::F64, Device::cpu()).unwrap();
        prior.fit(&codes).unwrap();
        let drawn = prior.sample(20_000, &Generator::new(4)).unwrap();
        let moments = |codes: &Tensor| {
            let centred = (codes - codes.mean(0, true).unwrap()).unwrap();
            let covariance = (centred.t().unwrap().matmul(&centred).unwrap() / codes.dims()[0] as f64).unwrap();
            (codes.mean(0, false).unwrap().to_vec::<f64>().unwrap(), covariance.to_vec::<f64>().unwrap())
        };
        let ((mean, covariance), (drawn_mean, drawn_covariance)) = (moments(&codes), moments(&drawn));
        for (left, right) in mean.iter().zip(&drawn_mean).chain(covariance.iter().zip(&drawn_covariance)) {
            assert!((left - right).abs() < 0.1, "{mean:?} {drawn_mean:?} {covariance:?} {drawn_covariance:?}");
        }
        assert!(drawn_covariance[8] < 1e-20);
    }

    #[test]
    fn bad_codes_are_refused_and_change_nothing() {
        let mut prior = CodePrior::new(2, DType::F32, Device::cpu()).unwrap();
        for codes in [
            Tensor::new([[1.0, 2.0]], Device::cpu()).unwrap(),
            Tensor::new([[1.0], [2.0]], Device::cpu()).unwrap(),
            Tensor::new([[1.0, 2.0], [f64::NAN, 0.0]], Device::cpu()).unwrap(),
        ] {
            assert!(prior.fit(&codes).is_err());
        }
        assert_eq!(prior.factor.value().to_vec::<f32>().unwrap(), [1.0, 0.0, 0.0, 1.0]);
    }
}
