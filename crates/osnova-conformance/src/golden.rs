//! Values and gradients that PyTorch computed, from `goldens/operations.safetensors` of Osnova's repository.

use crate::check::guarded;
use crate::{Failure, Report};
use osnova_autodiff::AutodiffDevice;
use osnova_tensor::{
    Activation, BinaryCrossEntropy, CrossEntropy, DType, Device, Error, HostData, Real, ReductionKind, Result, Scalar,
    Tensor,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::path::Path;

/// The largest distance from PyTorch's values, relative to the largest element of the tensor.
const TOLERANCE: f64 = 1e-5;

/// Where we do not follow PyTorch: the case, and why. Each must differ, so that a line nobody needs any more is noticed.
const DIFFERENCES: [(&str, &str); 1] =
    [("sign_special", "PyTorch's sign(NaN) is 0; ours stays NaN, as NumPy's, so that no operation hides a NaN")];

/// Compares an operation file of goldens with a device: each case's values, and its gradients on `device.autodiff()`, within 1e-5 of the
/// largest element (integers, truth values and half types exactly; NaN equals NaN). Cases with dtypes that the device lacks are left out.
///
/// A file that is missing or broken is a failure. The layout of the file is described in `goldens/README.md` of the repository.
pub fn goldens(device: Device, file: &Path) -> Report {
    let mut report = Report::default();
    let fail = |report: &mut Report, subject: &str, problem: String| {
        let case = format!("of {}", file.display());
        report.failures.push(Failure { subject: subject.into(), seed: None, case, problem, device: device.name() });
    };
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            fail(&mut report, "goldens", format!("the file could not be read: {error}"));
            return report;
        }
    };
    let parsed = SafeTensors::read_metadata(&bytes).and_then(|(_, head)| Ok((head, SafeTensors::deserialize(&bytes)?)));
    let (head, tensors) = match &parsed {
        Ok((head, tensors)) => (head.metadata().clone().unwrap_or_default(), tensors),
        Err(error) => {
            fail(&mut report, "goldens", format!("the file is no safetensors: {error}"));
            return report;
        }
    };
    let mut names: Vec<&String> = head.keys().collect();
    names.sort();
    for name in names {
        let case = match serde_json::from_str(&head[name]) {
            Ok(attributes) => Golden { name, attributes, tensors, device },
            Err(error) => {
                fail(&mut report, name, format!("its attributes are no JSON: {error}"));
                continue;
            }
        };
        let known = DIFFERENCES.iter().find(|(different, _)| different == name);
        match (case.check(), known) {
            (Ok(true), None) | (Err(_), Some(_)) => report.cases += 1,
            (Ok(false), _) => {}
            (Ok(true), Some((_, reason))) => {
                fail(&mut report, name, format!("it agrees with PyTorch, but is listed as different: {reason}"));
            }
            (Err(problem), None) => fail(&mut report, name, format!("{name}: {problem}")),
        }
    }
    if report.cases == 0 {
        fail(&mut report, "goldens", "no case was run".into());
    }
    report
}

struct Golden<'a> {
    name: &'a str,
    attributes: Value,
    tensors: &'a SafeTensors<'a>,
    device: Device,
}

impl Golden<'_> {
    /// Whether the case agrees; `Ok(false)` if the device lacks a dtype.
    fn check(&self) -> std::result::Result<bool, String> {
        let problem = |error: Box<Error>| format!("it was refused: {error}");
        let mut inputs = Vec::new();
        while let Some((data, shape)) = self.load("input", inputs.len())? {
            inputs.push((data, shape));
        }
        let mut expected = Vec::new();
        while let Some((data, _)) = self.load("output", expected.len())? {
            expected.push(data);
        }
        let supported = self.device.capabilities().dtypes;
        let mut dtypes = inputs.iter().map(|(data, _)| data.dtype()).chain(expected.iter().map(HostData::dtype));
        // Indices are wanted by operations that hide them.
        if !dtypes.all(|dtype| supported.contains(dtype)) || !supported.contains(DType::I64) {
            return Ok(false);
        }

        let gradients: Vec<usize> = self.indices("gradients");
        let recording = self.device.autodiff();
        let place = |(index, (data, shape)): (usize, &(HostData, Vec<usize>))| {
            let tensor = Tensor::from_host(data.clone(), &shape[..], self.device)?;
            if gradients.contains(&index) { tensor.to_device(recording)?.into_tracked() } else { Ok(tensor) }
        };
        let tensors = inputs.iter().enumerate().map(place).collect::<Result<Vec<_>>>().map_err(problem)?;
        let outputs = guarded(|| self.evaluate(&tensors))?.map_err(problem)?;
        if outputs.len() != expected.len() {
            return Err(format!("{} outputs instead of {}", outputs.len(), expected.len()));
        }
        for (index, (output, expected)) in outputs.iter().zip(&expected).enumerate() {
            let actual = output.to_host().map_err(problem)?;
            agrees(&actual, expected).map_err(|problem| format!("output {index}: {problem}"))?;
        }
        if gradients.is_empty() {
            return Ok(true);
        }
        self.check_gradients(&tensors, &outputs, &gradients)
    }

    /// The gradients of `sum(output · cotangent)`.
    fn check_gradients(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        wanted: &[usize],
    ) -> std::result::Result<bool, String> {
        let problem = |error: Box<Error>| format!("the gradient was refused: {error}");
        let mut loss: Option<Tensor> = None;
        for (index, output) in outputs.iter().enumerate() {
            let Some((data, shape)) = self.load("cotangent", index)? else { continue };
            let weighted = || {
                let cotangent = Tensor::from_host(data, &shape[..], self.device)?;
                let term = (output * cotangent)?.sum(.., false)?;
                loss.as_ref().map_or(Ok(term.clone()), |loss| loss + &term)
            };
            loss = Some(guarded(weighted)?.map_err(problem)?);
        }
        let loss = loss.ok_or("there are gradients but no cotangent")?;
        let gradients = guarded(|| loss.backward())?.map_err(problem)?;
        for &index in wanted {
            let (expected, _) = self.load("gradient", index)?.ok_or(format!("gradient {index} is not in the file"))?;
            let actual = match gradients.get(&inputs[index]) {
                Some(gradient) => gradient.to_host().map_err(problem)?,
                None => HostData::from_f64(expected.dtype(), &vec![0.0; expected.len()]),
            };
            agrees(&actual, &expected).map_err(|problem| format!("gradient {index}: {problem}"))?;
        }
        Ok(true)
    }

    /// The tensor `<case>/<role>/<index>`.
    fn load(&self, role: &str, index: usize) -> std::result::Result<Option<(HostData, Vec<usize>)>, String> {
        let Ok(view) = self.tensors.tensor(&format!("{}/{role}/{index}", self.name)) else { return Ok(None) };
        let dtype = match view.dtype() {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::I64 => DType::I64,
            Dtype::I32 => DType::I32,
            Dtype::U32 => DType::U32,
            Dtype::U8 => DType::U8,
            Dtype::BOOL => DType::Bool,
            other => return Err(format!("{role} {index} is {other:?}, which no tensor holds")),
        };
        // safetensors holds little-endian bytes, and every machine that Osnova runs on reads them as they are.
        let data = HostData::from_bytes(dtype, view.data())
            .map_err(|error| format!("{role} {index} holds broken values: {error}"))?;
        Ok(Some((data, view.shape().to_vec())))
    }

    fn number(&self, key: &str) -> f64 {
        self.attributes[key].as_f64().unwrap_or(f64::NAN)
    }

    fn integer(&self, key: &str) -> i64 {
        self.attributes[key].as_i64().unwrap_or(i64::MIN)
    }

    fn flag(&self, key: &str) -> bool {
        self.attributes[key].as_bool().unwrap_or(false)
    }

    fn text(&self, key: &str) -> &str {
        self.attributes[key].as_str().unwrap_or("")
    }

    fn integers(&self, key: &str) -> Vec<isize> {
        let list = self.attributes[key].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_i64).map(|value| value as isize).collect()
    }

    fn indices(&self, key: &str) -> Vec<usize> {
        self.integers(key).into_iter().map(|value| value as usize).collect()
    }

    fn dtype(&self) -> Result<DType> {
        let name = self.text("dtype");
        let found = DType::ALL.into_iter().find(|dtype| dtype.name() == name);
        found.ok_or_else(|| Error::argument("golden", format!("{name} is no dtype"), "Check the file"))
    }

    fn scalar(&self, key: &str, dtype: DType) -> Scalar {
        match dtype {
            DType::Bool => Scalar::Bool(self.flag(key)),
            dtype if dtype.is_float() => Scalar::from(self.number(key)),
            _ => Scalar::Int(self.integer(key)),
        }
    }

    fn reduction(&self) -> ReductionKind {
        match self.text("reduction") {
            "mean" => ReductionKind::Mean,
            "sum" => ReductionKind::Sum,
            _ => ReductionKind::None,
        }
    }

    /// The operation by the tensor methods that a user would call.
    fn evaluate(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let (axis, axes, keep) = (self.integer("axis") as isize, self.integers("axes"), self.flag("keep_dims"));
        let device = self.device;
        let x = || {
            let missing = || Error::argument("golden", "an input is missing", "Check the file");
            inputs.first().ok_or_else(missing)
        };
        let y = || {
            let missing = || Error::argument("golden", "the second input is missing", "Check the file");
            inputs.get(1).ok_or_else(missing)
        };
        let one = match self.text("op") {
            "neg" => x()?.neg(),
            "abs" => x()?.abs(),
            "sign" => x()?.sign(),
            "exp" => x()?.exp(),
            "expm1" => x()?.exp_m1(),
            "ln" => x()?.ln(),
            "ln1p" => x()?.ln_1p(),
            "sqrt" => x()?.sqrt(),
            "rsqrt" => x()?.rsqrt(),
            "recip" => x()?.recip(),
            "sin" => x()?.sin(),
            "cos" => x()?.cos(),
            "tanh" => x()?.tanh(),
            "sigmoid" => x()?.sigmoid(),
            "erf" => x()?.erf(),
            "floor" => x()?.floor(),
            "ceil" => x()?.ceil(),
            "round" => x()?.round(),
            "relu" => x()?.relu(),
            "not" => x()?.not(),
            "silu" => x()?.silu(),
            "gelu" => x()?.gelu(self.text("approximate") == "tanh"),
            "add" => x()? + y()?,
            "sub" => x()? - y()?,
            "mul" => x()? * y()?,
            "div" => x()? / y()?,
            "pow" => x()?.pow(y()?),
            "minimum" => x()?.minimum(y()?),
            "maximum" => x()?.maximum(y()?),
            "equal" => x()?.equal(y()?),
            "not_equal" => x()?.not_equal(y()?),
            "less" => x()?.less(y()?),
            "less_equal" => x()?.less_equal(y()?),
            "greater" => x()?.greater(y()?),
            "greater_equal" => x()?.greater_equal(y()?),
            "logical_and" => x()?.and(y()?),
            "logical_or" => x()?.or(y()?),
            "logical_xor" => x()?.xor(y()?),
            "where" => x()?.where_(y()?, &inputs[2]),
            "matmul" => x()?.matmul(y()?),
            "clamp" => {
                let bound = |key: &str, open: f64| self.attributes[key].as_f64().unwrap_or(open);
                x()?.clamp(bound("min", f64::NEG_INFINITY), bound("max", f64::INFINITY))
            }
            "cast" => x()?.to_dtype(self.dtype()?),
            "sum" => x()?.sum(&axes[..], keep),
            "prod" => x()?.prod(&axes[..], keep),
            "max" => x()?.max(&axes[..], keep),
            "min" => x()?.min(&axes[..], keep),
            "mean" => x()?.mean(&axes[..], keep),
            "logsumexp" => x()?.logsumexp(&axes[..], keep),
            "var" => x()?.var(&axes[..], self.integer("correction") as usize, keep),
            "argmax" => x()?.argmax(axis, keep),
            "argmin" => x()?.argmin(axis, keep),
            "cumsum" => x()?.cumsum(axis),
            "softmax" => x()?.softmax(axis),
            "log_softmax" => x()?.log_softmax(axis),
            "concat" => Tensor::concat(inputs, axis),
            "stack" => Tensor::stack(inputs, axis),
            "unsqueeze" => x()?.unsqueeze(axis),
            "squeeze" => x()?.squeeze(&axes[..]),
            "gather" => x()?.gather(axis, y()?),
            "scatter_add" => x()?.scatter_add(axis, y()?, &inputs[2]),
            "index_select" => x()?.index_select(axis, y()?),
            "reshape" => x()?.reshape(&self.integers("shape")[..]),
            "expand" => x()?.expand(self.indices("shape")),
            "permute" => x()?.permute(&axes[..]),
            "flip" => x()?.flip(&axes[..]),
            "slice" => {
                let (starts, ends, steps) = (self.integers("starts"), self.integers("ends"), self.integers("steps"));
                let ranges = starts.iter().zip(&ends).zip(&steps).enumerate();
                ranges.into_iter().try_fold(x()?.clone(), |x, (axis, ((&start, &end), &step))| {
                    x.slice(axis as isize, start..end, step)
                })
            }
            "pad" => {
                let padding: Vec<_> = self.indices("before").into_iter().zip(self.indices("after")).collect();
                x()?.pad(&padding, self.scalar("value", x()?.dtype()))
            }
            "split" => {
                let mut start = 0;
                let part = |size: usize| {
                    start += size;
                    x()?.narrow(axis, start - size, size)
                };
                return self.indices("sizes").into_iter().map(part).collect();
            }
            "one_hot" => x()?.one_hot(self.integer("classes") as usize, DType::I64),
            "sort" => {
                let (values, positions) = x()?.sort(axis, self.flag("descending"))?;
                return Ok(vec![values, positions]);
            }
            "top_k" => {
                let (values, positions) = x()?.topk(self.integer("k") as usize, axis, self.flag("largest"))?;
                return Ok(vec![values, positions]);
            }
            "arange" => {
                let dtype = self.dtype()?;
                if dtype == DType::I64 {
                    Tensor::arange(self.integer("start"), self.integer("end"), self.integer("step"), device)
                } else {
                    let (start, step) = (self.number("start"), self.number("step"));
                    let length = ((self.number("end") - start) / step).ceil() as usize;
                    Tensor::arange_of(start, step, length, dtype, device)
                }
            }
            "full" => {
                let dtype = self.dtype()?;
                Tensor::full(self.indices("shape"), self.scalar("value", dtype), dtype, device)
            }
            // Not square: ones on the diagonal are the one-hot rows of the row numbers.
            "eye" => Tensor::arange(0, self.integer("rows"), 1, device)?
                .one_hot(self.integer("columns") as usize, self.dtype()?),
            "linear" => {
                let name = self.text("activation");
                let known = Activation::ALL.into_iter().find(|kind| kind.name() == name);
                x()?.linear(y()?, inputs.get(2), known.unwrap_or(Activation::Identity))
            }
            "layer_norm" => {
                let affine = match inputs {
                    [_, weight, bias] => Some((weight, bias)),
                    _ => None,
                };
                x()?.layer_norm(axes.len(), affine, self.number("epsilon"))
            }
            "cross_entropy" if self.text("target") == "classes" => self.cross_entropy(x()?, y()?, inputs.get(2)),
            "cross_entropy" => self.cross_entropy_of_probabilities(x()?, y()?, inputs.get(2)),
            "bce_with_logits" => self.binary_cross_entropy(x()?, y()?, &inputs[2..]),
            other => Err(Error::argument("golden", format!("the operation {other} is unknown"), "Teach it to the kit")),
        }?;
        Ok(vec![one])
    }

    /// Classes on axis 1; other axes but the first join the batch.
    fn cross_entropy(&self, logits: &Tensor, target: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
        let options = CrossEntropy {
            reduction: self.reduction(),
            label_smoothing: Real::new(self.number("label_smoothing")),
            ignore_index: self.attributes["ignore_index"].as_i64(),
            ..CrossEntropy::default()
        };
        if logits.rank() == 2 {
            return logits.cross_entropy_with(target, weight, options);
        }
        let classes = logits.dims()[1] as isize;
        let rows = logits.permute([0, 2, 1])?.reshape([-1, classes])?;
        let values = rows.cross_entropy_with(&target.reshape([-1])?, weight, options)?;
        if options.reduction == ReductionKind::None { values.reshape(target.shape()) } else { Ok(values) }
    }

    /// No operation of its own: −Σ_c w_c·t_c·ln p_c, with the targets smoothed; the mean is that of the batch.
    fn cross_entropy_of_probabilities(
        &self,
        logits: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (classes, smoothing) = (logits.dims()[1] as f64, self.number("label_smoothing"));
        let target = ((target * (1.0 - smoothing))? + smoothing / classes)?;
        let mut terms = (target * logits.log_softmax(1)?)?;
        if let Some(weight) = weight {
            terms = (terms * weight)?;
        }
        self.reduced(terms.sum(1, false)?.neg()?)
    }

    /// With weights no operation of its own: w·[(1 − y)x + (1 + (p − 1)y)·(ln(1 + exp(−|x|)) + max(−x, 0))].
    fn binary_cross_entropy(&self, logits: &Tensor, target: &Tensor, weights: &[Tensor]) -> Result<Tensor> {
        if weights.is_empty() {
            let options = BinaryCrossEntropy { reduction: self.reduction(), with_gradient: false };
            return logits.binary_cross_entropy_with(target, options);
        }
        let mut weights = weights.iter();
        let weight = if self.flag("weight") { weights.next() } else { None };
        let positive = if self.flag("pos_weight") { weights.next() } else { None };
        let softplus = (logits.abs()?.neg()?.exp()?.ln_1p()? + logits.neg()?.relu()?)?;
        let factor = match positive {
            Some(positive) => (((positive - 1.0)? * target)? + 1.0)?,
            None => target.ones_like()?,
        };
        let mut values = (((1.0 - target)? * logits)? + (factor * softplus)?)?;
        if let Some(weight) = weight {
            values = (values * weight)?;
        }
        self.reduced(values)
    }

    fn reduced(&self, values: Tensor) -> Result<Tensor> {
        match self.reduction() {
            ReductionKind::Mean => values.mean(.., false),
            ReductionKind::Sum => values.sum(.., false),
            ReductionKind::None => Ok(values),
        }
    }
}

/// Whether values agree: f32 and f64 within the tolerance of the largest finite element, all others exactly.
fn agrees(actual: &HostData, expected: &HostData) -> std::result::Result<(), String> {
    if (actual.dtype(), actual.len()) != (expected.dtype(), expected.len()) {
        let (ours, theirs) = ((actual.len(), actual.dtype()), (expected.len(), expected.dtype()));
        return Err(format!("{ours:?} values instead of {theirs:?}"));
    }
    let exact = !matches!(expected.dtype(), DType::F32 | DType::F64);
    let (ours, theirs) = (actual.to_f64(), expected.to_f64());
    let largest =
        theirs.iter().filter(|value| value.is_finite()).fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let bound = if exact { 0.0 } else { TOLERANCE * largest };
    for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        let same = ours == theirs || (ours.is_nan() && theirs.is_nan());
        let close = ours.is_finite() && theirs.is_finite() && (ours - theirs).abs() <= bound;
        if !(same || close) {
            return Err(format!("element {index} is {ours:e}, PyTorch's {theirs:e} (± {bound:e})"));
        }
    }
    Ok(())
}
