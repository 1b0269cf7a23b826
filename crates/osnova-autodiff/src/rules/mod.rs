//! The derivatives, one row an operation, by family.
//!
//! A row holds what the derivative reads and the formula for the gradient of the input, written on tensors: `g` is the gradient of the
//! output, `x`, `y`, `z` are the inputs, `output` is the result. They are tensors of the inner device, so on a recording one
//! the formulas are themselves recorded: that is all second derivatives need.
//!
//! Tracked inputs have the output's shape in element-wise rules (the device makes broadcasting an `Expand`); constants may be smaller.
//!
//! Gradients end where the outputs are no floats: comparisons, positions, casts to integers. Any other operation that has no rule here, and no
//! decomposition, is refused.
//!
//! Rules need not care for half types: see [`half`]. A mask selects (`where_`) and does not multiply, since 0 · ∞ is NaN. Where a formula itself
//! says 0 · ∞ it is NaN, as in PyTorch: `√x`, `ln x` and `1/√x` at 0 under a gradient of 0.

mod elementwise;
pub(crate) mod half;
mod index;
mod matmul;
mod network;
mod reduce;
mod shape;
pub(crate) mod tangent;

use crate::node::Saved;
use osnova_tensor::{BinaryCrossEntropy, CrossEntropy, DType, Error, Meta, Op, Result, Shape, Tensor};
use smallvec::SmallVec;

/// What a derivative reads: any union of the constants below.
pub(crate) type Reads = u8;
pub(crate) const NOTHING: Reads = 0;
/// The first input.
pub(crate) const X: Reads = 1;
/// The second input.
pub(crate) const Y: Reads = 2;
/// The third input.
pub(crate) const Z: Reads = 4;
/// All inputs after the third.
const REST: Reads = 8;
/// The first output.
pub(crate) const OUTPUT: Reads = 16;
/// The other outputs.
pub(crate) const SECOND: Reads = 32;
/// Any of the tensors above.
pub(crate) const TENSORS: Reads = X | Y | Z | REST | OUTPUT | SECOND;
/// Shapes and dtypes of the inputs.
pub(crate) const SHAPES: Reads = 64;

/// The bit of an input.
pub(crate) fn input(index: usize) -> Reads {
    [X, Y, Z].get(index).copied().unwrap_or(REST)
}

/// The bit of an output.
pub(crate) fn output(index: usize) -> Reads {
    if index == 0 { OUTPUT } else { SECOND }
}

/// The gradient of one input from that of the output.
pub(crate) type Partial = fn(Tensor, &Record) -> Result<Tensor>;
/// The gradients of all inputs, each handed to the last argument with the input's position.
pub(crate) type Joint = fn(Tensor, &mut Record, &mut Emit) -> Result<()>;
/// Takes the gradient of an input.
pub(crate) type Emit<'a> = dyn FnMut(usize, Tensor) -> Result<()> + 'a;

/// How gradients pass an operation.
pub(crate) enum Rule {
    /// A row for each input.
    Each([(Reads, Partial); 3]),
    /// Formulas that share work, and what each input's reads.
    Joint([Reads; 3], Joint),
    /// A user's operation with a derivative of its own.
    Custom,
}

const ABSENT: (Reads, Partial) = (NOTHING, |g, _| Ok(g));

fn one(reads: Reads, x: Partial) -> Rule {
    Rule::Each([(reads, x), ABSENT, ABSENT])
}

fn two(x: (Reads, Partial), y: (Reads, Partial)) -> Rule {
    Rule::Each([x, y, ABSENT])
}

fn three(x: (Reads, Partial), y: (Reads, Partial), z: (Reads, Partial)) -> Rule {
    Rule::Each([x, y, z])
}

impl Rule {
    /// What the gradient of input `index` reads.
    #[inline]
    pub(crate) fn reads(&self, index: usize) -> Reads {
        match self {
            Self::Each(rows) => rows[index.min(2)].0,
            Self::Joint(reads, _) => reads[index.min(2)],
            Self::Custom => TENSORS,
        }
    }
}

/// The rule of an operation; `None` where gradients [stop](stops), the operation is taken apart instead, or nothing is known of it.
#[inline]
pub(crate) fn rule(op: &Op) -> Option<Rule> {
    match op {
        Op::Unary(kind) => elementwise::unary(*kind),
        Op::Binary(kind) => elementwise::binary(*kind),
        Op::Clamp { .. } | Op::Where | Op::Cast { .. } => elementwise::other(op),
        Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Expand { .. }
        | Op::Slice { .. }
        | Op::Contiguous
        | Op::Pad { .. }
        | Op::Concat { .. } => shape::rule(op),
        Op::Reduce { .. } | Op::CumulativeSum { .. } | Op::Mean { .. } | Op::Variance { .. } | Op::LogSumExp { .. } => {
            reduce::rule(op)
        }
        Op::Matmul => Some(matmul::rule()),
        Op::Gather { .. } | Op::ScatterAdd { .. } | Op::IndexSelect { .. } | Op::IndexAdd { .. } | Op::Sort { .. } => {
            index::rule(op)
        }
        Op::Softmax { .. }
        | Op::LogSoftmax { .. }
        | Op::Activate(_)
        | Op::Linear { .. }
        | Op::CrossEntropy(_)
        | Op::BinaryCrossEntropy(_)
        | Op::LayerNorm(_) => network::rule(op),
        Op::Custom(custom) => custom.operation().has_backward().then_some(Rule::Custom),
        _ => None,
    }
}

/// Whether derivatives end at an operation without a rule: none of its outputs is a float, or it is an update of parameters.
pub(crate) fn stops(op: &Op, outputs: &[Meta]) -> bool {
    matches!(op, Op::Optimize(_)) || !outputs.iter().any(|output| output.dtype.is_float())
}

/// An operation on floats that has no rule, which must not pass for one that nothing moves.
#[cold]
pub(crate) fn unknown(op: &Op) -> Box<Error> {
    Error::gradient(
        op.name(),
        "its derivative is not known",
        "Use a version of osnova-autodiff that matches osnova-tensor, or `detach` its inputs",
    )
}

/// The operation that also makes the gradient of a loss in its forward pass.
#[inline]
pub(crate) fn with_gradient(op: &Op) -> Option<Op> {
    match op {
        Op::CrossEntropy(options) if !options.with_gradient => {
            Some(Op::CrossEntropy(CrossEntropy { with_gradient: true, ..*options }))
        }
        Op::BinaryCrossEntropy(options) if !options.with_gradient => {
            Some(Op::BinaryCrossEntropy(BinaryCrossEntropy { with_gradient: true, ..*options }))
        }
        _ => None,
    }
}

/// What a rule sees of a recorded operation.
pub(crate) struct Record<'a> {
    /// The operation, for its attributes.
    pub(crate) op: &'a Op,
    /// How many inputs it has.
    pub(crate) inputs: usize,
    pub(crate) saved: Saved,
    pub(crate) metas: &'a [Meta],
    pub(crate) needs: &'a dyn Fn(usize) -> bool,
    /// Whether the gradient of the output is the 1 that the pass started from.
    pub(crate) unit: bool,
    /// Whether tensors of a half type with the range of `f32` are read in `f32`: then squares may overflow.
    pub(crate) wide_range: bool,
}

impl Record<'_> {
    /// Reads tensors of half types in `f32` from now on.
    fn widen(&mut self) -> Result<()> {
        for tensor in self.saved.iter_mut().flatten() {
            self.wide_range |= tensor.dtype() == DType::BF16;
            *tensor = tensor.to_dtype(tensor.dtype().accumulator())?;
        }
        Ok(())
    }

    fn at(&self, index: usize) -> &Tensor {
        self.saved.get(index).and_then(Option::as_ref).expect("a rule reads only what it declares")
    }

    fn x(&self) -> &Tensor {
        self.at(0)
    }

    fn y(&self) -> &Tensor {
        self.at(1)
    }

    fn output(&self) -> &Tensor {
        self.at(self.inputs)
    }

    fn second(&self) -> &Tensor {
        self.at(self.inputs + 1)
    }

    /// The second output by value: the last handle, unless the record is kept for another pass.
    fn take_second(&mut self) -> Tensor {
        self.saved.get_mut(self.inputs + 1).and_then(Option::take).expect("a rule reads only what it declares")
    }

    /// The shape of an input.
    fn shape(&self, index: usize) -> &Shape {
        &self.metas[index].shape
    }

    /// Whether the gradient of an input is wanted.
    fn needs(&self, index: usize) -> bool {
        (self.needs)(index)
    }
}

/// Passes the gradients of the outputs through an operation to its inputs.
#[inline]
pub(crate) fn pull(record: &mut Record, mut gradients: SmallVec<[Option<Tensor>; 1]>, emit: &mut Emit) -> Result<()> {
    let rule = rule(record.op).expect("only operations with a rule are recorded");
    if let Rule::Custom = rule {
        return network::custom(record, gradients, emit);
    }
    // Other outputs of the operations with a row are positions and carry no gradient.
    let Some(gradient) = gradients.first_mut().and_then(Option::take) else { return Ok(()) };
    let dtype = gradient.dtype();
    if !half::is_half(dtype) || half::rounds_once(record.op, &gradient, record.metas) {
        return pull_one(rule, record, gradient, emit);
    }
    record.widen()?;
    pull_one(rule, record, gradient.to_dtype(dtype.accumulator())?, &mut |index, gradient| {
        emit(index, gradient.to_dtype(dtype)?)
    })
}

/// Passes the gradient of the first output on.
#[inline]
fn pull_one(rule: Rule, record: &mut Record, gradient: Tensor, emit: &mut Emit) -> Result<()> {
    match rule {
        Rule::Each(rows) => {
            // The last one to need it gets the last handle.
            let mut needing = (0..record.inputs).filter(|&index| (record.needs)(index)).peekable();
            let mut gradient = Some(gradient);
            while let Some(index) = needing.next() {
                let own = if needing.peek().is_some() { gradient.clone() } else { gradient.take() };
                let Some(own) = own else { break };
                emit(index, rows[index].1(own, record)?)?;
            }
            Ok(())
        }
        Rule::Joint(_, joint) => joint(gradient, record, emit),
        Rule::Custom => Ok(()),
    }
}

/// Zeros beside a gradient: a constant.
fn zeros(shape: &Shape, like: &Tensor) -> Result<Tensor> {
    Tensor::zeros(*shape, like.dtype(), like.device().without_recording())
}
