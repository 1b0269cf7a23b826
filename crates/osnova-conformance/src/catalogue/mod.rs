//! What is tested: for every operation, the cases it is drawn from.

mod create;
mod elementwise;
mod index;
mod matmul;
mod movement;
mod network;
mod optimize;
mod range;
mod reduce;

use crate::case::Case;
use crate::check::{Verdict, against_oracle};
use crate::values::Values;
use crate::{Family, Settings, bad_input, draw, gradient, half, single, unknown};
use osnova_tensor::{DType, Device, OpKind};
use proptest::strategy::BoxedStrategy;

/// How a case is tested.
pub(crate) type Check = fn(Device, &Settings, &Case) -> Verdict;

/// One function of one operation, and how it is tested.
pub(crate) struct Subject {
    /// Unique: the operation's name, perhaps with the kind of test.
    pub(crate) name: String,
    pub(crate) family: Family,
    pub(crate) cases: BoxedStrategy<Case>,
    pub(crate) check: Check,
    /// How many plain cases one of these costs: so many fewer are run.
    pub(crate) cost: u64,
}

/// What kind of values the inputs hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Where the function is well-behaved.
    Plain,
    /// NaN, infinities, extremes.
    Special,
    /// Smooth, away from kinks.
    Gradient,
}

/// What entries are drawn with.
pub(crate) struct Draw {
    pub(crate) flavour: Flavour,
    pub(crate) dtypes: Vec<DType>,
    /// The dtypes of the device that indices may have.
    pub(crate) indices: Vec<DType>,
}

/// One function's name and its cases.
pub(crate) type Entry = (String, BoxedStrategy<Case>);

impl Draw {
    /// The dtypes of the device that a function accepts; `None` if there are none.
    fn dtype(&self, accepts: impl Fn(DType) -> bool) -> Option<BoxedStrategy<DType>> {
        let dtypes: Vec<DType> = self.dtypes.iter().copied().filter(|&dtype| accepts(dtype)).collect();
        (!dtypes.is_empty()).then(|| draw::dtype(&dtypes))
    }

    /// The dtypes for indices; `None` if the device has none.
    fn index(&self) -> Option<BoxedStrategy<DType>> {
        (!self.indices.is_empty()).then(|| draw::dtype(&self.indices))
    }

    /// The values of one flavour.
    fn values(&self, plain: Values, special: Values, gradient: Values) -> Values {
        match self.flavour {
            Flavour::Plain => plain,
            Flavour::Special => special,
            Flavour::Gradient => gradient,
        }
    }

    fn gradient(&self) -> bool {
        self.flavour == Flavour::Gradient
    }

    fn plain(&self) -> bool {
        self.flavour == Flavour::Plain
    }
}

/// The cases of an operation: an entry for each of its functions. Nothing where a flavour makes no sense.
fn entries(kind: OpKind, draw: &Draw) -> Vec<Entry> {
    // No wildcard: an operation that is not drawn does not compile.
    match kind {
        OpKind::Full => create::full(draw),
        OpKind::Arange => create::arange(draw),
        OpKind::Random => create::random(draw),
        OpKind::Reshape => movement::reshape(draw),
        OpKind::Permute => movement::permute(draw),
        OpKind::Expand => movement::expand(draw),
        OpKind::Slice => movement::slice(draw),
        OpKind::Contiguous => movement::contiguous(draw),
        OpKind::Pad => movement::pad(draw),
        OpKind::Concat => movement::concat(draw),
        OpKind::Unary => elementwise::unary(draw),
        OpKind::Binary => elementwise::binary(draw),
        OpKind::Compare => elementwise::compare(draw),
        OpKind::Clamp => elementwise::clamp(draw),
        OpKind::Where => elementwise::choose(draw),
        OpKind::Cast => elementwise::cast(draw),
        OpKind::Reduce => reduce::reduce(draw),
        OpKind::ArgReduce => reduce::position(draw),
        OpKind::CumulativeSum => reduce::running_sum(draw),
        OpKind::Sort => reduce::sort(draw),
        OpKind::Matmul => matmul::matmul(draw),
        OpKind::Gather => index::gather(draw),
        OpKind::ScatterAdd => index::scatter_add(draw),
        OpKind::IndexSelect => index::select(draw),
        OpKind::IndexAdd => index::add(draw),
        OpKind::Mean => network::mean(draw),
        OpKind::Variance => network::variance(draw),
        OpKind::LogSumExp => network::log_sum_exp(draw),
        OpKind::Softmax => network::softmax(draw),
        OpKind::LogSoftmax => network::log_softmax(draw),
        OpKind::Activate => network::activate(draw),
        OpKind::ActivationGradient => network::activation_gradient(draw),
        OpKind::Linear => network::linear(draw),
        OpKind::CrossEntropy => network::cross_entropy(draw),
        OpKind::BinaryCrossEntropy => network::binary_cross_entropy(draw),
        OpKind::LayerNorm => network::layer_norm(draw),
        OpKind::Optimize => optimize::optimize(draw),
        OpKind::Custom => network::custom(draw),
    }
}

fn family(kind: OpKind) -> Family {
    match kind {
        OpKind::Full | OpKind::Arange | OpKind::Random => Family::Creation,
        OpKind::Reshape | OpKind::Permute | OpKind::Expand | OpKind::Slice => Family::Movement,
        OpKind::Contiguous | OpKind::Pad | OpKind::Concat => Family::Movement,
        OpKind::Unary | OpKind::Binary | OpKind::Compare => Family::Elementwise,
        OpKind::Clamp | OpKind::Where | OpKind::Cast => Family::Elementwise,
        OpKind::Reduce | OpKind::ArgReduce | OpKind::CumulativeSum | OpKind::Sort => Family::Reductions,
        OpKind::Matmul => Family::Contraction,
        OpKind::Gather | OpKind::ScatterAdd | OpKind::IndexSelect | OpKind::IndexAdd => Family::Indexing,
        _ => Family::Composites,
    }
}

/// Everything that is tested on a device: its dtypes alone are drawn.
pub(crate) fn subjects(device: Device) -> Vec<Subject> {
    let supported = device.capabilities().dtypes;
    let dtypes: Vec<DType> = DType::ALL.into_iter().filter(|&dtype| supported.contains(dtype)).collect();
    let indices: Vec<DType> = DType::INDICES.into_iter().filter(|&dtype| supported.contains(dtype)).collect();
    let draw = |flavour, dtypes| Draw { flavour, dtypes, indices: indices.clone() };
    let mut subjects = Vec::new();
    for &kind in OpKind::ALL {
        let plain = draw(Flavour::Plain, dtypes.clone());
        for (name, cases) in entries(kind, &plain) {
            let bad = Subject {
                name: format!("{name} (bad input)"),
                family: Family::BadInput,
                cases: cases.clone(),
                check: bad_input::check,
                cost: 16,
            };
            subjects.push(Subject { name, family: family(kind), cases, check: against_oracle, cost: 1 });
            subjects.push(bad);
        }
        let special = draw(Flavour::Special, dtypes.clone());
        subjects.extend(entries(kind, &special).into_iter().map(|(name, cases)| Subject {
            name: format!("{name} (special values)"),
            family: Family::SpecialValues,
            cases,
            check: against_oracle,
            cost: 1,
        }));
        if let Some((dtype, reverse, forward)) = derivatives(&dtypes) {
            // Indices and conditions keep their dtypes; what carries a gradient has this one.
            for (name, cases) in entries(kind, &draw(Flavour::Gradient, vec![dtype])) {
                subjects.push(Subject {
                    name: format!("{name} (gradient)"),
                    family: Family::Gradients,
                    cases: cases.clone(),
                    check: reverse,
                    cost: 16,
                });
                subjects.push(Subject {
                    name: format!("{name} (forward mode)"),
                    family: Family::ForwardMode,
                    cases,
                    check: forward,
                    cost: 16,
                });
            }
        }
    }
    subjects.extend(precision(&dtypes, &indices));
    subjects.extend(bad_input::unsupported_dtypes(&dtypes));
    subjects.extend(unknown::operations(&dtypes));
    subjects
}

/// What derivatives are checked in, and how: in f64 against differences, else in f32 against the oracle.
fn derivatives(dtypes: &[DType]) -> Option<(DType, Check, Check)> {
    if dtypes.contains(&DType::F64) {
        return Some((DType::F64, gradient::check, gradient::check_forward));
    }
    dtypes.contains(&DType::F32).then_some((DType::F32, single::check, single::check_forward))
}

/// Composites over long rows and wide ranges, and the derivatives of half types.
fn precision(dtypes: &[DType], indices: &[DType]) -> Vec<Subject> {
    let mut subjects = Vec::new();
    let mut push = |name: String, cases, check: Check| {
        subjects.push(Subject { name, family: Family::Precision, cases, check, cost: 16 });
    };
    let among = |chosen: [DType; 2]| dtypes.iter().copied().filter(|dtype| chosen.contains(dtype)).collect::<Vec<_>>();
    for (name, cases) in range::entries(&among([DType::F32, DType::F64]), indices) {
        push(name, cases, against_oracle);
    }
    let halves = among([DType::F16, DType::BF16]);
    // What is made of several steps is made in f32.
    if halves.is_empty() || !dtypes.contains(&DType::F32) {
        return subjects;
    }
    for (name, cases) in range::entries(&halves, indices) {
        push(format!("{name} (half types)"), cases.clone(), against_oracle);
        push(format!("{name} (derivatives in half types)"), cases, half::check);
    }
    let smooth = Draw { flavour: Flavour::Gradient, dtypes: halves, indices: indices.to_vec() };
    // Users' operations compute as their authors chose, and optimizers have no derivative.
    let derived = OpKind::ALL.iter().filter(|kind| !matches!(kind, OpKind::Custom | OpKind::Optimize));
    for (name, cases) in derived.flat_map(|&kind| entries(kind, &smooth)) {
        push(format!("{name} (derivatives in half types)"), cases, half::check);
    }
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;
    use osnova_reference::ReferenceDevice;
    use std::collections::HashSet;

    #[test]
    fn every_operation_has_cases_and_every_subject_a_name_of_its_own() {
        let (dtypes, indices) = (DType::ALL.to_vec(), DType::INDICES.to_vec());
        let plain = Draw { flavour: Flavour::Plain, dtypes, indices };
        for &kind in OpKind::ALL {
            assert!(!entries(kind, &plain).is_empty(), "{kind:?} is not drawn");
        }
        let subjects = subjects(Device::reference());
        let names: HashSet<&str> = subjects.iter().map(|subject| subject.name.as_str()).collect();
        assert_eq!(names.len(), subjects.len());
    }
}
