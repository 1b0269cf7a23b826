//! The kit finds what is broken on purpose: a device each, wrong in one way.

use osnova_conformance::{Family, Report, Settings};
use osnova_reference::{Number, Reference, ReferenceDevice};
use osnova_tensor::{
    Activation, Backend, Binary, Capabilities, DType, DTypeSet, Device, HostData, Inputs, Layout, Meta, Op, Outputs,
    Reduction, Result, Shape, Tensor, Unary, Wrapper, view,
};
use std::panic;
use std::sync::{Arc, Mutex};

/// What is done to the values of an operation's first output.
type Change = fn(&Op, &[f64], &mut [f64]);

/// The oracle with some results changed: `change` sees the values of the first input and of the first output.
#[derive(Debug)]
struct Wrong {
    change: Change,
}

impl Backend for Wrong {
    fn name(&self) -> String {
        "wrong".into()
    }

    fn capabilities(&self) -> Capabilities {
        Reference.capabilities()
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Reference.upload(device, data, shape)
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        Reference.download(tensor)
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        let first = inputs.first().map(|input| Reference.download(input)).transpose()?;
        let mut results = Reference.execute(device, op, inputs, outputs)?;
        if op.is_view() || !results[0].dtype().is_float() {
            return Ok(results);
        }
        let mut values = Reference.download(&results[0])?.to_f64();
        (self.change)(op, &first.map(|data| data.to_f64()).unwrap_or_default(), &mut values);
        results[0] = Reference.upload(device, HostData::from_f64(results[0].dtype(), &values), *results[0].shape())?;
        Ok(results)
    }
}

fn wrong(change: Change) -> Device {
    Device::intern(Wrong { change })
}

fn settings() -> Settings {
    Settings::default().cases(128)
}

/// Exactly these functions fail.
#[track_caller]
fn assert_caught(report: &Report, functions: &[&str]) {
    let caught: Vec<&str> = report.failures().iter().map(|failure| failure.subject.as_str()).collect();
    assert_eq!(caught, functions, "{report}");
}

#[test]
fn a_sum_that_is_off_by_one_unit_in_the_last_place() {
    let device = wrong(|op, _, values| {
        if matches!(op, Op::Binary(Binary::Add)) {
            values.iter_mut().for_each(|value| *value *= 1.0 + f64::from(f32::EPSILON));
        }
    });
    assert_caught(&osnova_conformance::elementwise(device, &settings()), &["add"]);
}

#[test]
fn an_exponential_that_is_off_by_six_units_in_the_last_place() {
    let device = wrong(|op, _, values| {
        if matches!(op, Op::Unary(Unary::Exp)) {
            values.iter_mut().for_each(|value| *value *= 1.0 + 6.0 * f64::from(f32::EPSILON));
        }
    });
    assert_caught(&osnova_conformance::elementwise(device, &settings()), &["exp"]);
}

#[test]
fn a_product_of_matrices_that_lacks_one_term_in_the_last_row() {
    let device = wrong(|op, input, values| {
        if let (Op::Matmul, [.., term], [.., last]) = (op, input, values) {
            *last -= 0.001 * term;
        }
    });
    assert_caught(&osnova_conformance::contraction(device, &settings()), &["matmul"]);
}

#[test]
fn a_maximum_that_drops_nan() {
    let device = wrong(|op, input, values| {
        if matches!(op, Op::Reduce { kind: Reduction::Max, .. }) && values.len() == 1 && values[0].is_nan() {
            values[0] = input.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        }
    });
    osnova_conformance::reductions(device, &settings()).assert();
    assert_caught(&osnova_conformance::special_values(device, &settings()), &["max (special values)"]);
}

#[test]
fn a_wrong_part_shows_in_the_composites_made_of_it() {
    let device = wrong(|op, _, values| {
        if matches!(op, Op::Unary(Unary::Ln)) {
            values.iter_mut().for_each(|value| *value += 0.01);
        }
    });
    let report = osnova_conformance::composites(device, &settings());
    assert_caught(&report, &["logsumexp", "log_softmax", "cross_entropy"]);
}

/// The oracle with kernels that forget what composites promise: a layer norm whose every step rounds to the half type, and a
/// log-softmax that adds the logarithm to the maximum before it subtracts.
#[derive(Debug)]
struct Hasty;

impl Backend for Hasty {
    fn name(&self) -> String {
        "hasty".into()
    }

    fn capabilities(&self) -> Capabilities {
        Reference.capabilities()
    }

    fn claims(&self, op: &Op, _: &[Tensor]) -> bool {
        matches!(op, Op::LayerNorm(_) | Op::LogSoftmax { .. })
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Reference.upload(device, data, shape)
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        Reference.download(tensor)
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        let output = match op {
            Op::LayerNorm(attributes) => {
                let axes: Vec<isize> = (1..=attributes.axes as isize).map(|axis| -axis).collect();
                let centred = (&inputs[0] - inputs[0].mean(&axes[..], true)?)?;
                let variance = centred.square()?.mean(&axes[..], true)?;
                let normal = (centred * (variance + attributes.epsilon.get())?.rsqrt()?)?;
                match &inputs[..] {
                    [_, weight, bias] => ((normal * weight)? + bias)?,
                    _ => normal,
                }
            }
            Op::LogSoftmax { axis } => (&inputs[0] - inputs[0].logsumexp(*axis as isize, true)?)?,
            _ => return Reference.execute(device, op, inputs, outputs),
        };
        Ok(Outputs::from_iter([output]))
    }
}

#[test]
fn kernels_that_round_every_step_or_shift_too_late() {
    let device = Device::intern(Hasty);
    let report = osnova_conformance::precision(device, &settings());
    for subject in [
        "log_softmax of long and large",
        "log_softmax of long and large (half types)",
        "layer_norm of long and large (half types)",
    ] {
        assert!(report.failures().iter().any(|failure| failure.subject == subject), "{subject}: {report}");
    }
}

#[test]
fn a_wrong_function_has_a_wrong_gradient() {
    // tanh is off by so little that a loose tolerance on values would pass, but its slope is off by 1e-3.
    let device = wrong(|op, input, values| {
        if matches!(op, Op::Unary(Unary::Tanh)) {
            values.iter_mut().zip(input).for_each(|(value, input)| *value += 1e-6 * (1000.0 * input).sin());
        }
    });
    let report = osnova_conformance::gradients(device, &settings());
    assert!(report.failures().iter().any(|failure| failure.subject == "tanh (gradient)"), "{report}");
    let report = osnova_conformance::forward_mode(device, &settings());
    assert!(report.failures().iter().any(|failure| failure.subject == "tanh (forward mode)"), "{report}");
}

#[test]
fn a_wrong_adjoint_shows_where_both_modes_meet() {
    // Sums from the back are too large by a factor: linear still, so that no difference along a direction tells. But they are the way back
    // of sums from the front.
    let device = wrong(|op, _, values| {
        if matches!(op, Op::CumulativeSum { reverse: true, .. }) {
            values.iter_mut().for_each(|value| *value *= 1.0 + 1e-8);
        }
    });
    let report = osnova_conformance::forward_mode(device, &settings());
    assert_caught(&report, &["cumsum (forward mode)"]);
    assert!(report.to_string().contains("⟨v, J·u⟩ and ⟨Jᵀ·v, u⟩ differ"), "{report}");
}

/// Storage of [`Careless`]: its values can be written while other tensors share them.
#[derive(Clone)]
struct Shared(Arc<Mutex<HostData>>);

/// The elements at `positions`.
fn pick(data: &HostData, positions: &[usize]) -> HostData {
    match data {
        HostData::F64(values) => HostData::F64(positions.iter().map(|&at| values[at]).collect()),
        HostData::F32(values) => HostData::F32(positions.iter().map(|&at| values[at]).collect()),
        HostData::I32(values) => HostData::I32(positions.iter().map(|&at| values[at]).collect()),
        HostData::U32(values) => HostData::U32(positions.iter().map(|&at| values[at]).collect()),
        HostData::I64(values) => HostData::I64(positions.iter().map(|&at| values[at]).collect()),
        HostData::Bool(values) => HostData::Bool(positions.iter().map(|&at| values[at]).collect()),
        other => panic!("no {}", other.dtype()),
    }
}

/// What [`Careless`] does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Nothing: the control.
    None,
    /// `neg` writes into its input's storage although others hold it.
    WritesInPlace,
    /// Reads elements one after another from the start of the storage, whatever the layout says.
    IgnoresStrides,
    /// An index out of range is taken modulo the size.
    WrapsIndices,
    /// An index out of range panics.
    Panics,
    /// Each call gives slightly other bits.
    Forgets,
    /// A function that it does not know is taken for another.
    Guesses,
    /// A composite of which it does not know a part is claimed.
    Claims,
    /// The exponential is off by a share of 1e-3 where it is large.
    Bends,
}

/// A device of a few dtypes that runs everything on the oracle, but for one fault.
#[derive(Debug)]
struct Careless {
    fault: Fault,
    dtypes: DTypeSet,
    calls: Mutex<u64>,
}

impl Careless {
    fn read(&self, tensor: &Tensor) -> HostData {
        let Shared(values) = tensor.storage::<Shared>().unwrap();
        let values = values.lock().unwrap();
        let positions: Vec<usize> = match self.fault {
            Fault::IgnoresStrides => (0..tensor.count()).map(|index| index % values.len()).collect(),
            _ => tensor.layout().positions().collect(),
        };
        pick(&values, &positions)
    }

    fn store(device: Device, data: HostData, shape: Shape) -> Tensor {
        Tensor::from_parts(device, Layout::contiguous(shape), data.dtype(), Shared(Arc::new(Mutex::new(data))))
    }
}

impl Backend for Careless {
    fn name(&self) -> String {
        format!("careless ({:?})", self.fault)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(self.dtypes)
    }

    fn claims(&self, op: &Op, _: &[Tensor]) -> bool {
        self.fault == Fault::Claims && matches!(op, Op::Activate(Activation::Unknown))
    }

    fn upload(&self, device: Device, data: HostData, shape: Shape) -> Result<Tensor> {
        Ok(Self::store(device, data, shape))
    }

    fn download(&self, tensor: &Tensor) -> Result<HostData> {
        Ok(self.read(tensor))
    }

    fn execute(&self, device: Device, op: &Op, inputs: Inputs, outputs: &[Meta]) -> Result<Outputs> {
        if op.is_view()
            && let Some(view) = view::<Shared>(op, &inputs[0])
        {
            return Ok(Outputs::from_iter([view]));
        }
        if let (Fault::WritesInPlace, Op::Unary(Unary::Neg), DType::F64) = (self.fault, op, outputs[0].dtype) {
            let Shared(values) = inputs[0].storage::<Shared>().unwrap();
            if let HostData::F64(values) = &mut *values.lock().unwrap() {
                values.iter_mut().for_each(|value| *value = -*value);
            }
            return Ok(Outputs::from_iter([inputs[0].clone()]));
        }
        let mut plain = Inputs::new();
        for (index, input) in inputs.iter().enumerate() {
            let mut data = self.read(input);
            if let (Op::IndexSelect { axis }, 1, HostData::I64(values)) = (op, index, &mut data) {
                let size = inputs[0].shape()[*axis] as i64;
                match self.fault {
                    Fault::WrapsIndices => values.iter_mut().for_each(|value| *value = value.rem_euclid(size)),
                    Fault::Panics if values.iter().any(|value| !(0..size).contains(value)) => {
                        panic::resume_unwind(Box::new("an index out of range"));
                    }
                    _ => {}
                }
            }
            plain.push(Reference.upload(Device::reference(), data, *input.shape())?);
        }
        let known = match op {
            Op::Unary(Unary::Unknown) if self.fault == Fault::Guesses => Op::Unary(Unary::Relu),
            Op::Activate(Activation::Unknown) if self.fault == Fault::Claims => Op::Contiguous,
            op => op.clone(),
        };
        let results = Reference.execute(Device::reference(), &known, plain, outputs)?;
        let store = |result: Tensor| {
            let mut data = result.to_host()?;
            if let (Fault::Forgets, Op::Reduce { kind: Reduction::Sum, .. }, HostData::F64(values)) =
                (self.fault, op, &mut data)
            {
                let mut calls = self.calls.lock().unwrap();
                *calls += 1;
                // Within the tolerance, but not the same twice.
                values.iter_mut().for_each(|value| *value *= 1.0 + (*calls % 2) as f64 * f64::EPSILON);
            }
            if let (Fault::Bends, Op::Unary(Unary::Exp), HostData::F32(values)) = (self.fault, op, &mut data) {
                values.iter_mut().filter(|value| **value > 2.0).for_each(|value| *value *= 1.001);
            }
            Ok(Self::store(device, data, *result.shape()))
        };
        results.into_iter().map(store).collect()
    }
}

fn careless(fault: Fault) -> Device {
    careless_of(fault, &[DType::F64, DType::I64, DType::Bool])
}

fn careless_of(fault: Fault, dtypes: &[DType]) -> Device {
    Device::intern(Careless { fault, dtypes: DTypeSet::of(dtypes), calls: Mutex::new(0) })
}

/// No truth values and no indices: what needs them is refused, and that is no fault.
#[test]
fn a_device_of_one_dtype_passes() {
    let settings = Settings::default().cases(16).may_skip(&[Family::Indexing]);
    for dtype in [DType::F64, DType::F32] {
        let report = osnova_conformance::run_all(careless_of(Fault::None, &[dtype]), &settings);
        report.assert();
        let skipped: Vec<Family> = report.skips().iter().map(|skip| skip.family).collect();
        assert_eq!(skipped, [Family::Indexing]);
    }
}

/// Indices are i32 or u32 then, and derivatives f32.
#[test]
fn a_device_without_64_bits_passes_whole() {
    for index in [DType::I32, DType::U32] {
        let device = careless_of(Fault::None, &[DType::F32, index, DType::Bool]);
        let report = osnova_conformance::run_all(device, &Settings::default().cases(16));
        report.assert();
        assert!(report.skips().is_empty());
        assert_eq!(device.index_dtype(), index);
    }
}

#[test]
fn a_family_without_a_case_is_a_failure_unless_it_is_allowed_by_name() {
    let device = careless_of(Fault::None, &[DType::F64]);
    let settings = Settings::default().cases(2);
    let report = osnova_conformance::indexing(device, &settings);
    assert!(!report.passed() && report.failures().is_empty() && report.cases() == 0);
    let message = report.to_string();
    assert!(
        message.contains("indexing was not tested") && message.contains("dtypes of careless (None): f64"),
        "{message}"
    );
    // Another name does not help; its own does.
    assert!(!osnova_conformance::indexing(device, &settings.may_skip(&[Family::Gradients])).passed());
    let report = osnova_conformance::indexing(device, &settings.may_skip(&[Family::Indexing]));
    assert!(report.passed() && report.skips()[0].allowed && report.to_string().contains("SKIPPED indexing"));
    // No case at all is none of any family.
    let report = osnova_conformance::run_all(device, &settings.cases(0));
    assert_eq!((report.passed(), report.skips().len()), (false, Family::ALL.len()));
    assert!(report.to_string().contains("no cases were asked for"));
}

#[test]
fn families_are_listed_once() {
    let names: Vec<&str> = Family::ALL.iter().map(|family| family.name()).collect();
    assert!(names.contains(&"gradients") && names.contains(&"forward_mode") && names.contains(&"bad_input"));
    assert_eq!(Family::BadInput.to_string(), "bad_input");
    // Every family of them has a case on a device with every dtype.
    let device = Device::intern(Reference);
    let settings = Settings::default().cases(1);
    for family in Family::ALL {
        assert!(family.run(device, &settings).cases() > 0, "{family}");
    }
}

#[test]
fn a_function_that_is_not_known_and_taken_for_another() {
    let report = osnova_conformance::bad_input(careless(Fault::Guesses), &settings());
    assert_caught(&report, &["unknown operations"]);
    assert!(report.failures()[0].problem.contains("it was not refused"), "{report}");
}

#[test]
fn a_composite_with_an_unknown_part_that_is_claimed() {
    let report = osnova_conformance::bad_input(careless(Fault::Claims), &settings());
    assert_caught(&report, &["unknown operations"]);
}

/// Without f64 derivatives are checked in f32, and a wrong one is found.
#[test]
fn a_wrong_gradient_in_f32() {
    let device = careless_of(Fault::Bends, &[DType::F32, DType::I64, DType::Bool]);
    let report = osnova_conformance::gradients(device, &settings());
    assert!(report.failures().iter().any(|failure| failure.subject == "exp (gradient)"), "{report}");
    let report = osnova_conformance::forward_mode(device, &settings());
    assert!(report.failures().iter().any(|failure| failure.subject == "exp (forward mode)"), "{report}");
}

#[test]
fn without_a_fault_it_passes() {
    osnova_conformance::run_all(careless(Fault::None), &Settings::default().cases(16)).assert();
}

#[test]
fn a_kernel_that_writes_into_a_shared_input() {
    let report = osnova_conformance::elementwise(careless(Fault::WritesInPlace), &settings());
    let neg = report.failures().iter().find(|failure| failure.subject == "neg").expect("neg fails");
    assert!(neg.problem.contains("another handle was alive") || neg.problem.contains("a view of"), "{neg}");
}

#[test]
fn a_device_that_ignores_strides() {
    let report = osnova_conformance::movement(careless(Fault::IgnoresStrides), &settings());
    assert!(report.failures().len() >= 5, "{report}");
}

#[test]
fn an_index_out_of_range_that_is_not_refused() {
    let report = osnova_conformance::bad_input(careless(Fault::WrapsIndices), &settings());
    assert_caught(&report, &["index_select (bad input)"]);
    assert!(report.failures()[0].problem.contains("it was not refused"), "{report}");
}

#[test]
fn an_index_out_of_range_that_panics() {
    let report = osnova_conformance::bad_input(careless(Fault::Panics), &settings());
    // Weighted cross-entropy selects by its targets.
    assert_caught(&report, &["index_select (bad input)", "cross_entropy (bad input)"]);
    assert!(report.failures()[0].problem.contains("it panicked: an index out of range"), "{report}");
}

#[test]
fn sums_that_differ_from_run_to_run() {
    let report = osnova_conformance::reductions(careless(Fault::Forgets), &settings());
    let sum = report.failures().iter().find(|failure| failure.subject == "sum").expect("sum fails");
    assert!(sum.problem.contains("other bits"), "{sum}");
}

#[test]
fn a_failing_case_is_simple_and_repeats() {
    let device = wrong(|op, _, values| {
        if matches!(op, Op::Unary(Unary::Sin)) && values.len() >= 3 {
            values[2] += 1.0;
        }
    });
    let report = osnova_conformance::elementwise(device, &settings());
    assert_caught(&report, &["sin"]);
    let failure = &report.failures()[0];
    // Three elements are the fewest that fail, and the layout does not matter.
    assert!(failure.case.contains("f32[3") && failure.case.contains("contiguous"), "{failure}");
    assert_eq!(failure.to_string().lines().count(), 1);
    let seed = failure.seed.unwrap();
    let again = osnova_conformance::repeat(device, &failure.subject, seed);
    assert_eq!(again.failures()[0].to_string(), failure.to_string());
    osnova_conformance::repeat(device, "cos", seed).assert();
    assert!(!osnova_conformance::repeat(device, "no such operation", 0).passed());
}

#[test]
fn wrapping_devices_pass() {
    use osnova_autodiff::{AutodiffDevice, ForwardDevice};
    let settings = Settings::default().cases(24);
    let families = [
        osnova_conformance::movement,
        osnova_conformance::elementwise,
        osnova_conformance::composites,
        osnova_conformance::gradients,
        osnova_conformance::forward_mode,
    ];
    for device in [Device::reference().autodiff(), Device::reference().forward_mode()] {
        assert!(device.backend().as_wrapper().map(Wrapper::inner) == Some(Device::reference()));
        for family in families {
            family(device, &settings).assert();
        }
    }
    // One number type for all dtypes: what the oracle stores is what it rounds to.
    assert_eq!(Number::Float(0.1).to(DType::F32), Number::Float(f64::from(0.1f32)));
}
