//! Forward mode: how tangents pass an operation, by family. ẋ, ẏ are the tangents of the inputs x, y.
//!
//! Most of it follows from the reverse table:
//! - **Element by element** a Jacobian is diagonal, so it is its own transpose (as softmax's is): the row for g gives the tangent for ẋ.
//! - **A reduction** has one partial derivative for each element: the row spreads g over them, here they are summed up, Σ wᵢ·ẋᵢ.
//! - **A linear map** is its own derivative: the same operation once more, on the tangents.
//!
//! The few others have formulas of their own below. An input without a tangent does not move: its terms are left out.

use super::elementwise::activation_gradient;
use super::{Record, Rule, rule as reverse};
use crate::AutodiffDevice;
use crate::device::run;
use osnova_tensor::{
    Activation, Binary, BinaryCrossEntropy, CrossEntropy, Device, Error, Inputs, Meta, NodeId, Op, Reduction,
    ReductionKind, Result, Tensor, Unary,
};
use smallvec::{SmallVec, smallvec};

/// The tangent of each output; `None` where it does not move.
pub(crate) type Tangents = SmallVec<[Option<Tensor>; 3]>;

/// What a rule sees of an operation: tensors of the inner device.
pub(crate) struct Step<'a> {
    pub(crate) device: Device,
    pub(crate) op: &'a Op,
    pub(crate) inputs: &'a [Tensor],
    /// The outputs, and after them the gradient where a loss made one.
    pub(crate) outputs: &'a [Tensor],
    pub(crate) metas: &'a [Meta],
    pub(crate) tangents: &'a [Option<Tensor>],
}

/// How tangents pass an operation.
#[derive(Clone, Copy)]
pub(crate) enum Forward {
    /// By the reverse table's rows, one for each input.
    Symmetric,
    /// By the partial derivatives of the reverse table's row, summed.
    Reduction,
    /// By the operation itself.
    Linear,
    /// By a formula of its own.
    Own(fn(&Step) -> Result<Tensor>),
    /// By the transpose of a user's derivative.
    Custom,
}

/// Whether nothing moves after an operation without a rule: no output is a float, or each is a step, whose derivative is 0.
pub(crate) fn stops(op: &Op, outputs: &[Meta]) -> bool {
    matches!(op, Op::Unary(Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round)) || super::stops(op, outputs)
}

/// The rule of an operation; `None` where nothing moves ([`stops`]), the operation is taken apart instead, or nothing is known of it.
pub(crate) fn rule(op: &Op) -> Option<Forward> {
    Some(match op {
        // Steps: 0 wherever there is a derivative
        Op::Unary(Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round | Unary::Not)
        | Op::Binary(Binary::And | Binary::Or | Binary::Xor) => return None,
        Op::Unary(_) | Op::Binary(_) | Op::Clamp { .. } | Op::Where | Op::Activate(_) | Op::Softmax { .. } => {
            reverse(op).map(|_| Forward::Symmetric)?
        }
        Op::Reduce { kind: Reduction::Sum, .. }
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Expand { .. }
        | Op::Slice { .. }
        | Op::Contiguous
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::CumulativeSum { .. }
        | Op::Mean { .. }
        | Op::Gather { .. }
        | Op::ScatterAdd { .. }
        | Op::IndexSelect { .. }
        | Op::IndexAdd { .. } => Forward::Linear,
        Op::Cast { dtype } if dtype.is_float() => Forward::Linear,
        Op::Reduce { .. } | Op::Variance { .. } | Op::LogSumExp { .. } => Forward::Reduction,
        Op::Matmul => Forward::Own(matmul),
        Op::Linear { .. } => Forward::Own(linear),
        // Each element keeps its tangent and moves with it
        Op::Sort { .. } => Forward::Own(sort),
        Op::LogSoftmax { .. } => Forward::Own(log_softmax),
        Op::ActivationGradient(Activation::Identity | Activation::Relu | Activation::Sigmoid | Activation::Tanh) => {
            Forward::Own(activation_gradient_step)
        }
        Op::CrossEntropy(CrossEntropy { with_gradient: false, .. })
        | Op::BinaryCrossEntropy(BinaryCrossEntropy { with_gradient: false, .. }) => Forward::Own(loss),
        Op::Custom(custom) if custom.operation().has_backward() => Forward::Custom,
        _ => return None,
    })
}

impl Forward {
    /// Whether more than one operation makes the tangent: half types take them in `f32`.
    pub(crate) fn has_steps(self) -> bool {
        !matches!(self, Self::Linear | Self::Custom)
    }

    /// The tangents of the outputs. At least one input has one.
    pub(crate) fn push(self, step: &Step) -> Result<Tangents> {
        Ok(smallvec![match self {
            Self::Symmetric => Some(symmetric(step)?),
            Self::Reduction => Some(reduction(step)?),
            Self::Linear => Some(same_operation(step)?),
            Self::Own(formula) => Some(formula(step)?),
            Self::Custom => return custom(step),
        }])
    }
}

impl Step<'_> {
    fn tangent(&self, input: usize) -> Option<&Tensor> {
        self.tangents.get(input)?.as_ref()
    }

    /// The step as the reverse rows read it.
    fn with_record<R>(&self, read: impl FnOnce(&Record) -> R) -> R {
        let metas: Vec<Meta> = self.inputs.iter().map(|input| Meta::new(*input.shape(), input.dtype())).collect();
        read(&Record {
            op: self.op,
            inputs: self.inputs.len(),
            saved: self.inputs.iter().chain(self.outputs).cloned().map(Some).collect(),
            metas: &metas,
            needs: &|_| true,
            unit: false,
            wide_range: false,
        })
    }
}

/// Adds up what there is.
fn total(terms: impl IntoIterator<Item = Result<Tensor>>) -> Result<Tensor> {
    let mut terms = terms.into_iter();
    let first = terms.next().expect("at least one input has a tangent");
    terms.try_fold(first?, |sum, term| sum + term)
}

/// ẏ = Σ ∂y/∂xᵢ·ẋᵢ, element by element; tangents of smaller inputs are repeated first.
fn symmetric(step: &Step) -> Result<Tensor> {
    let Some(Rule::Each(rows)) = reverse(step.op) else { unreachable!("these operations have a row for each input") };
    let shape = step.metas[0].shape;
    step.with_record(|record| {
        let moving = step.tangents.iter().enumerate().filter_map(|(index, tangent)| Some((index, tangent.as_ref()?)));
        total(moving.map(|(index, tangent)| rows[index].1(tangent.expand(shape)?, record)))
    })
}

/// ẏ = Σ wᵢ·ẋᵢ with w = ∂y/∂x.
fn reduction(step: &Step) -> Result<Tensor> {
    let (Some(Rule::Each(rows)), Some(tangent)) = (reverse(step.op), step.tangent(0)) else {
        unreachable!("these operations have one input and a row for it")
    };
    let partials = step.with_record(|record| rows[0].1(step.outputs[0].ones_like()?, record))?;
    let (axes, keep_dims) = match step.op {
        Op::Reduce { axes, keep_dims, .. }
        | Op::Variance { axes, keep_dims, .. }
        | Op::LogSumExp { axes, keep_dims } => (&axes[..], *keep_dims),
        _ => unreachable!("no other operation is a reduction"),
    };
    chosen(&partials, tangent)?.sum(axes, keep_dims)
}

/// Partial derivatives times tangents, 0 where the derivative is: what does not count moves nothing, however it moves itself.
fn chosen(partials: &Tensor, tangent: &Tensor) -> Result<Tensor> {
    partials.equal(0.0)?.where_(0.0, partials * tangent)
}

/// The operation on the tangents; where one of several is missing, zeros. Indices stay.
fn same_operation(step: &Step) -> Result<Tensor> {
    let mut inputs = Inputs::new();
    for (index, input) in step.inputs.iter().enumerate() {
        inputs.push(match step.tangent(index) {
            Some(tangent) => tangent.clone(),
            None if input.dtype().is_float() => input.zeros_like()?,
            None => input.clone(),
        });
    }
    let padding;
    let op = match step.op {
        // The rim does not move.
        Op::Pad { padding: widths, .. } => {
            padding = Op::Pad { padding: widths.clone(), value: false.into() };
            &padding
        }
        op => op,
    };
    Ok(run(step.device, op, inputs, step.metas)?.remove(0))
}

/// C = A·B: Ċ = Ȧ·B + A·Ḃ.
fn matmul(step: &Step) -> Result<Tensor> {
    let (x, y) = (&step.inputs[0], &step.inputs[1]);
    let terms = [step.tangent(0).map(|tangent| tangent.matmul(y)), step.tangent(1).map(|tangent| x.matmul(tangent))];
    total(terms.into_iter().flatten())
}

/// y = f(x·Wᵀ + b): ẏ = f′·(ẋ·Wᵀ + x·Ẇᵀ + ḃ). The device sees to it that f′ can be told from y.
fn linear(step: &Step) -> Result<Tensor> {
    let Op::Linear { activation, .. } = *step.op else { unreachable!("asked of linear layers alone") };
    let (x, weight) = (&step.inputs[0], &step.inputs[1]);
    let terms = [
        step.tangent(0).map(|tangent| tangent.linear(weight, None, Activation::Identity)),
        step.tangent(1).map(|tangent| x.linear(tangent, None, Activation::Identity)),
        step.tangent(2).map(|tangent| tangent.expand(step.metas[0].shape)),
    ];
    let before = total(terms.into_iter().flatten())?;
    match activation {
        Activation::Identity => Ok(before),
        _ => activation_gradient(activation, before, &step.outputs[0]),
    }
}

/// Each element takes its tangent along.
fn sort(step: &Step) -> Result<Tensor> {
    let (Op::Sort { axis, .. }, Some(tangent)) = (step.op, step.tangent(0)) else {
        unreachable!("asked of sorting alone")
    };
    tangent.gather(*axis as isize, &step.outputs[1])
}

/// yᵢ = xᵢ − ln Σ eˣ: ẏᵢ = ẋᵢ − Σ eʸ·ẋ.
fn log_softmax(step: &Step) -> Result<Tensor> {
    let (Op::LogSoftmax { axis }, Some(tangent)) = (step.op, step.tangent(0)) else {
        unreachable!("asked of log-softmax alone")
    };
    tangent - (step.outputs[0].exp()? * tangent)?.sum(*axis as isize, true)?
}

/// h = g·f′(y), with f′ told from the output y of f: ḣ = ġ·f′ + g·ẏ·∂f′/∂y. For the sigmoid f′ = y(1 − y), for tanh 1 − y²; steps else.
fn activation_gradient_step(step: &Step) -> Result<Tensor> {
    let Op::ActivationGradient(kind) = *step.op else { unreachable!("asked of activations' gradients alone") };
    let (g, y) = (&step.inputs[0], &step.inputs[1]);
    let by_gradient = step.tangent(0).map(|tangent| activation_gradient(kind, tangent.clone(), y));
    let by_output = match (kind, step.tangent(1)) {
        (Activation::Sigmoid, Some(tangent)) => Some((g * tangent)? * (1.0 - (y * 2.0)?)?),
        (Activation::Tanh, Some(tangent)) => Some((g * tangent)? * (y * -2.0)?),
        _ => None,
    };
    match (by_gradient, by_output) {
        (None, None) => g.zeros_like(),
        terms => total([terms.0, terms.1].into_iter().flatten()),
    }
}

/// The gradient that the loss made in the same pass, times the tangent of the logits, summed as the loss is.
fn loss(step: &Step) -> Result<Tensor> {
    let tangent = step.tangent(0).expect("the device claims losses of moving logits alone");
    let change = chosen(&step.outputs[1], tangent)?;
    match step.op {
        Op::CrossEntropy(CrossEntropy { reduction: ReductionKind::None, .. }) => change.sum(1, false),
        Op::BinaryCrossEntropy(BinaryCrossEntropy { reduction: ReductionKind::None, .. }) => Ok(change),
        _ => change.sum(.., false),
    }
}

/// A user's operation gives Jᵀg. That is linear in g, so its own derivative by g is the transpose of Jᵀ: ẏ = ∂⟨Jᵀg, ẋ⟩/∂g.
fn custom(step: &Step) -> Result<Tangents> {
    let Op::Custom(custom) = step.op else { unreachable!("asked of operations from other crates alone") };
    let level = step.device.autodiff();
    let mut gradients = Vec::new();
    for output in step.outputs {
        let float = output.dtype().is_float();
        gradients.push(if float { Some(output.zeros_like()?.to_device(level)?.into_tracked()?) } else { None });
    }
    let wrong = |problem: &str| {
        Error::gradient(
            custom.name(),
            problem,
            "Write `backward` with tensor operations on the gradients, one entry for each input, or let `has_backward` say false",
        )
    };
    let pulled = custom.operation().backward(step.inputs, step.outputs, &gradients)?;
    let pulled = pulled
        .filter(|pulled| pulled.len() == step.inputs.len())
        .ok_or_else(|| wrong("its `backward` did not give one gradient for each input"))?;
    let moving =
        pulled.iter().zip(step.tangents).filter_map(|(pulled, tangent)| Some((pulled.as_ref()?, tangent.as_ref()?)));
    let products: Vec<Result<Tensor>> = moving.map(|(pulled, tangent)| (pulled * tangent)?.sum(.., false)).collect();
    if products.is_empty() {
        return Ok(smallvec![None; step.outputs.len()]);
    }
    let product = total(products)?;
    if !product.is_tracked() {
        return Err(wrong(
            "its `backward` does not compute with the gradients, so it has no derivative in forward mode",
        ));
    }
    let wanted: Vec<NodeId> = gradients.iter().flatten().filter_map(Tensor::node_id).collect();
    let mut tangents = product.gradients(None, Some(&wanted), false)?;
    Ok(gradients.iter().map(|gradient| tangents.remove(gradient.as_ref()?)).collect())
}
