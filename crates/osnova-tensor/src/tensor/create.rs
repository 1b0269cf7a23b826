//! Making tensors.

use super::indexing::counted;
use super::only;
use crate::host::{collected, collected_all};
use crate::random::{Distribution, Stream, shuffle, shuffle_blocks};
use crate::{
    DType, Device, Element, Error, Generator, HostData, Inputs, IntoShape, Op, Real, Result, Scalar, Shape, Tensor,
};

/// Nested arrays, slices and vectors of numbers: `[[1.0, 2.0], [3.0, 4.0]]`. One number is a scalar.
pub trait NestedArray {
    /// The number type.
    type Element: Element;
    /// The sizes from the outside in, and the numbers row-major.
    ///
    /// # Errors
    /// Rows of different lengths.
    fn flatten(&self, dims: &mut Vec<usize>, values: &mut Vec<Self::Element>) -> Result<()>;
}

macro_rules! nested_number {
    ($($number:ty),*) => {$(
        impl NestedArray for $number {
            type Element = $number;
            fn flatten(&self, _: &mut Vec<usize>, values: &mut Vec<$number>) -> Result<()> {
                values.push(*self);
                Ok(())
            }
        }
    )*};
}
nested_number!(f32, f64, half::f16, half::bf16, i64, i32, u32, u8, bool);

impl<A: NestedArray> NestedArray for [A] {
    type Element = A::Element;
    fn flatten(&self, dims: &mut Vec<usize>, values: &mut Vec<A::Element>) -> Result<()> {
        dims.push(self.len());
        // Room for the numbers of the innermost level; for the outer ones it is little.
        if values.try_reserve(self.len()).is_err() {
            return Err(Error::host_memory("new", self.len(), size_of::<A::Element>()));
        }
        let mut first: Option<Vec<usize>> = None;
        for part in self {
            let mut inner = Vec::new();
            part.flatten(&mut inner, values)?;
            match &first {
                None => first = Some(inner),
                Some(first) if *first == inner => {}
                Some(first) => {
                    return Err(Error::argument(
                        "new",
                        format!("parts of sizes {first:?} and {inner:?} stand side by side"),
                        "Give rows of equal length",
                    ));
                }
            }
        }
        dims.extend(first.unwrap_or_default());
        Ok(())
    }
}

impl<A: NestedArray, const N: usize> NestedArray for [A; N] {
    type Element = A::Element;
    fn flatten(&self, dims: &mut Vec<usize>, values: &mut Vec<A::Element>) -> Result<()> {
        self.as_slice().flatten(dims, values)
    }
}

impl<A: NestedArray> NestedArray for Vec<A> {
    type Element = A::Element;
    fn flatten(&self, dims: &mut Vec<usize>, values: &mut Vec<A::Element>) -> Result<()> {
        self.as_slice().flatten(dims, values)
    }
}

impl<A: NestedArray + ?Sized> NestedArray for &A {
    type Element = A::Element;
    fn flatten(&self, dims: &mut Vec<usize>, values: &mut Vec<A::Element>) -> Result<()> {
        (**self).flatten(dims, values)
    }
}

impl Tensor {
    /// A tensor from nested arrays: `Tensor::new([[1.0f32, 2.0], [3.0, 4.0]], device)`.
    ///
    /// # Errors
    /// Rows of different lengths, more than [`MAX_RANK`](crate::MAX_RANK) levels.
    pub fn new(values: impl NestedArray, device: Device) -> Result<Self> {
        let (mut dims, mut flat) = (Vec::new(), Vec::new());
        values.flatten(&mut dims, &mut flat)?;
        Self::from_vec(flat, dims, device)
    }

    /// A tensor that takes over a vector's memory (row-major; no copy on the CPU).
    ///
    /// # Errors
    /// The vector's length is not the shape's element count.
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl IntoShape, device: Device) -> Result<Self> {
        Self::from_host(T::into_host(values), shape, device)
    }

    /// A tensor with a copy of the values (row-major).
    ///
    /// # Errors
    /// The slice's length is not the shape's element count.
    pub fn from_slice<T: Element>(values: &[T], shape: impl IntoShape, device: Device) -> Result<Self> {
        Self::from_vec(collected("from_slice", values.iter().copied())?, shape, device)
    }

    /// A tensor with one axis from an iterator.
    ///
    /// # Errors
    /// Out of memory.
    pub fn from_values<T: Element>(values: impl IntoIterator<Item = T>, device: Device) -> Result<Self> {
        let values = collected_all("from_values", values.into_iter())?;
        let count = values.len();
        Self::from_vec(values, count, device)
    }

    /// A tensor from typed host values (row-major).
    ///
    /// # Errors
    /// The number of values is not the shape's element count.
    pub fn from_host(data: HostData, shape: impl IntoShape, device: Device) -> Result<Self> {
        let tensor = device.innermost().upload(data, shape.into_shape()?)?;
        tensor.to_device(device)
    }

    /// A tensor filled with one value. Float types round it.
    ///
    /// # Errors
    /// The value does not fit the dtype: a fraction for integers, a number beyond the largest one.
    pub fn full(shape: impl IntoShape, value: impl Into<Scalar>, dtype: DType, device: Device) -> Result<Self> {
        let value = value.into();
        in_range("full", value.to_f64(), dtype)?;
        create(device, Op::Full { shape: shape.into_shape()?, dtype, value: value.as_held(dtype) })
    }

    /// A tensor of zeros.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    pub fn zeros(shape: impl IntoShape, dtype: DType, device: Device) -> Result<Self> {
        Self::full(shape, false, dtype, device)
    }

    /// A tensor of ones.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    pub fn ones(shape: impl IntoShape, dtype: DType, device: Device) -> Result<Self> {
        Self::full(shape, true, dtype, device)
    }

    /// Zeros of this tensor's shape and dtype, as a constant.
    ///
    /// # Errors
    /// Out of memory.
    pub fn zeros_like(&self) -> Result<Self> {
        Self::zeros(*self.shape(), self.dtype(), self.device().without_recording())
    }

    /// Ones of this tensor's shape and dtype, as a constant.
    ///
    /// # Errors
    /// Out of memory.
    pub fn ones_like(&self) -> Result<Self> {
        Self::ones(*self.shape(), self.dtype(), self.device().without_recording())
    }

    /// `start, start + step, …` up to but without `end`. Shape `[count]`, dtype `i64`; see [`Tensor::arange_of`] for the others.
    ///
    /// # Errors
    /// A step of 0, more values than fit in memory.
    pub fn arange(start: i64, end: i64, step: i64, device: Device) -> Result<Self> {
        if step == 0 {
            return Err(Error::argument("arange", "a step of 0 never arrives", "Give a positive or negative step"));
        }
        let span = (i128::from(end) - i128::from(start)) * i128::from(step.signum());
        let length = if span <= 0 { 0 } else { (span - 1) / i128::from(step).abs() + 1 };
        let length =
            usize::try_from(length).map_err(|_| Error::host_memory("arange", usize::MAX, DType::I64.size()))?;
        Self::arange_of(start, step, length, DType::I64, device)
    }

    /// `length` values from `start` on, `step` apart.
    ///
    /// # Errors
    /// A start, step or last value that does not fit the dtype.
    pub fn arange_of(
        start: impl Into<Scalar>,
        step: impl Into<Scalar>,
        length: usize,
        dtype: DType,
        device: Device,
    ) -> Result<Self> {
        create(device, Op::Arange { start: start.into(), step: step.into(), length, dtype })
    }

    /// `count` floats from `start` to `end`, both included to the bit (rounded to the dtype), evenly apart. One float is `start`.
    ///
    /// # Errors
    /// A dtype that is no float, ends that are not finite or beyond what it holds.
    pub fn linspace(start: f64, end: f64, count: usize, dtype: DType, device: Device) -> Result<Self> {
        if !dtype.is_float() {
            return Err(Error::dtype(
                "linspace",
                [dtype],
                "numbers evenly apart are floats",
                "Use a float dtype, or `arange` for integers",
            ));
        }
        for number in [start, end] {
            if !number.is_finite() {
                let problem = format!("{start:?} to {end:?} has no numbers evenly apart");
                return Err(Error::argument("linspace", problem, "Give finite ends"));
            }
            in_range("linspace", number, dtype)?;
        }
        let (gaps, width) = (count.saturating_sub(1) as f64, end - start);
        let step = match count {
            // Nothing lies between.
            0..=2 => 0.0,
            _ if width.is_finite() => width / gaps,
            _ => end / gaps - start / gaps,
        };
        // Counted from either end, so that both are exact and nothing between them overflows.
        let first = count.div_ceil(2);
        let lower = Self::arange_of(start, step, first, dtype, device)?;
        if count < 2 {
            return Ok(lower);
        }
        let upper = Self::arange_of(end, -step, count - first, dtype, device)?.flip(0)?;
        Self::concat(&[lower, upper], 0)
    }

    /// The identity: ones on the diagonal of `[size, size]`.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    pub fn eye(size: usize, dtype: DType, device: Device) -> Result<Self> {
        let index = counted("eye", size, device.index_dtype(), device)?.to_device(device)?;
        index.one_hot(size, dtype)
    }

    /// Random numbers drawn evenly from `low..high`.
    ///
    /// # Errors
    /// Bounds that are not finite or in the wrong order, a dtype that is no float.
    pub fn uniform(
        shape: impl IntoShape,
        low: f64,
        high: f64,
        dtype: DType,
        generator: &Generator,
        device: Device,
    ) -> Result<Self> {
        random(
            shape.into_shape()?,
            Distribution::Uniform { low: Real::new(low), high: Real::new(high) },
            dtype,
            generator,
            device,
        )
    }

    /// Normally distributed random numbers.
    ///
    /// # Errors
    /// A negative standard deviation, a dtype that is no float.
    pub fn normal(
        shape: impl IntoShape,
        mean: f64,
        standard_deviation: f64,
        dtype: DType,
        generator: &Generator,
        device: Device,
    ) -> Result<Self> {
        let distribution =
            Distribution::Normal { mean: Real::new(mean), standard_deviation: Real::new(standard_deviation) };
        random(shape.into_shape()?, distribution, dtype, generator, device)
    }

    /// Ones with this probability, else zeros; a float dtype or `bool`.
    ///
    /// # Errors
    /// A probability outside 0 to 1, an integer dtype.
    pub fn bernoulli(
        shape: impl IntoShape,
        probability: f64,
        dtype: DType,
        generator: &Generator,
        device: Device,
    ) -> Result<Self> {
        random(
            shape.into_shape()?,
            Distribution::Bernoulli { probability: Real::new(probability) },
            dtype,
            generator,
            device,
        )
    }

    /// The numbers `0..count` in random order, as `i64` or the device's [index dtype](Device::index_dtype).
    ///
    /// # Errors
    /// Out of memory.
    pub fn permutation(count: usize, generator: &Generator, device: Device) -> Result<Self> {
        let shape = count.into_shape()?;
        // A shape has no more elements than an `i64` counts.
        let mut order = collected("permutation", (0..count).map(|index| index as i64))?;
        generator.try_take(shuffle_blocks(count), |stream| {
            shuffle(&mut order, stream);
            Self::from_indices(order, shape, device.index_dtype(), device)
        })
    }
}

/// Refuses a number that would round to infinity.
fn in_range(operation: &'static str, number: f64, dtype: DType) -> Result<()> {
    if !dtype.is_float() || number.is_infinite() || dtype.rounded(number).is_finite() || number.is_nan() {
        return Ok(());
    }
    Err(Error::argument(
        operation,
        format!("{number:?} is beyond the numbers of {dtype}"),
        format!("Stay within ±{:?}, or use a wider dtype", dtype.largest()),
    ))
}

fn create(device: Device, op: Op) -> Result<Tensor> {
    // What is created is a constant: making it inside keeps it out of the record. `to_device` wraps it.
    only(device.apply(&op, Inputs::new())?)
}

fn random(
    shape: Shape,
    distribution: Distribution,
    dtype: DType,
    generator: &Generator,
    device: Device,
) -> Result<Tensor> {
    let op = |stream: Stream| Op::Random { shape, dtype, distribution, stream };
    // Checked before the numbers are taken: what is refused draws nothing, not even from a replay.
    crate::infer::infer::<crate::Meta>(&op(generator.position()), &[])?;
    generator.try_take(distribution.blocks(shape.count(), dtype), |stream| create(device, op(stream)))
}
