//! The whole vocabulary: every operation a tensor knows, grouped by what it needs. Start reading here.
//!
//! **Primitives** (groups 1 to 7) are what every backend must run. **Composites** (group 8) carry a decomposition into
//! primitives ([`crate::decompose`]); a backend with a fast kernel claims them ([`crate::Backend::claims`]). Of half types every operation, composites
//! too, computes in `f32` and rounds its outputs once.
//!
//! Axes are counted from the front and checked by [`crate::infer`]; shapes below are written `[rows, columns]`.
//!
//! [`Op`], [`Unary`], [`Binary`], [`Activation`] and [`Optimize`] grow: a backend of another crate matches them with a last arm that is
//! an error ([`crate::Error::unknown`]), never a default. So that this can be tested, each of the four kinds has a hidden member `Unknown`
//! that nobody knows: inference lets it pass, no list holds it, `osnova-conformance` feeds it to every device. The other kinds are
//! closed: a new member does not compile where it is not handled.

use crate::random::{Distribution, Stream};
use crate::{Axes, Custom, DType, Real, Scalar, Shape};
use smallvec::SmallVec;

/// The shape and dtype of a tensor: all that inference needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Meta {
    /// The shape.
    pub shape: Shape,
    /// The element type.
    pub dtype: DType,
}

impl Meta {
    /// A shape and a dtype.
    #[inline]
    pub fn new(shape: Shape, dtype: DType) -> Self {
        Self { shape, dtype }
    }
}

/// The shapes and dtypes of an operation's outputs.
pub type Metas = SmallVec<[Meta; 1]>;

/// An operation, as a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Op {
    // ---- 1. Creation: no inputs ------------------------------------------------------------------------------------
    /// A tensor filled with one value.
    Full {
        /// The shape.
        shape: Shape,
        /// The dtype; `value` fits it.
        dtype: DType,
        /// The value.
        value: Scalar,
    },
    /// `start, start + step, …`: shape `[length]`. Element i is `start + i·step`, computed in f64 for floats, in i64 for integers.
    Arange {
        /// The first value.
        start: Scalar,
        /// The distance between values.
        step: Scalar,
        /// How many values.
        length: usize,
        /// The dtype.
        dtype: DType,
    },
    /// Random numbers from a counter-based stream; see [`crate::random`] for which bits make which element.
    Random {
        /// The shape.
        shape: Shape,
        /// The dtype: a float, or `bool` for Bernoulli.
        dtype: DType,
        /// What to draw from.
        distribution: Distribution,
        /// Where in which stream the numbers start.
        stream: Stream,
    },

    // ---- 2. Views: no element is touched; one input, any dtype -----------------------------------------------------
    /// The same elements in row-major order under another shape with as many elements (a copy where strides forbid a view).
    Reshape {
        /// The new shape.
        shape: Shape,
    },
    /// The axes in another order.
    Permute {
        /// `axes[i]` is the input's axis that becomes axis i.
        axes: Axes,
    },
    /// Size-1 axes, and new ones in front, repeated to `shape`.
    Expand {
        /// The new shape.
        shape: Shape,
    },
    /// A range of every axis.
    Slice {
        /// One range an axis.
        ranges: SmallVec<[SliceRange; 4]>,
    },

    // ---- 3. Movement: elements are copied, not changed; any dtype --------------------------------------------------
    /// A row-major copy (the input itself if it already is).
    Contiguous,
    /// The input surrounded by a value.
    Pad {
        /// How many elements to add before and after, for each axis.
        padding: SmallVec<[(usize, usize); 4]>,
        /// The value.
        value: Scalar,
    },
    /// The inputs (at least one) one after another along `axis`; their other sizes and dtypes agree.
    Concat {
        /// The axis.
        axis: usize,
    },

    // ---- 4. Element by element; inputs broadcast -------------------------------------------------------------------
    /// A function of one tensor.
    Unary(Unary),
    /// A function of two tensors of one dtype.
    Binary(Binary),
    /// A comparison of two tensors of one dtype; gives `bool`.
    Compare(Comparison),
    /// `min(max(x, low), high)`; NaN stays NaN, and a bound that is NaN makes every element NaN.
    Clamp {
        /// The lower bound.
        low: Scalar,
        /// The upper bound.
        high: Scalar,
    },
    /// `condition ? x : y` from inputs `[condition: bool, x, y]`.
    Where,
    /// The values as another dtype: floats to integers truncate and saturate (NaN gives 0), integers to narrower ones wrap, anything to `bool` is `!= 0`.
    Cast {
        /// The new dtype.
        dtype: DType,
    },

    // ---- 5. Reductions ---------------------------------------------------------------------------------------------
    /// Many elements to one along `axes` (ascending; none means nothing is reduced). An empty sum is 0, product 1, maximum −∞ (or the dtype's smallest value).
    /// Half types accumulate in `f32`; integers wrap.
    Reduce {
        /// How.
        kind: Reduction,
        /// The axes.
        axes: Axes,
        /// Whether the axes stay, with size 1.
        keep_dims: bool,
    },
    /// The position (`i64`) of the largest or smallest element along `axis`, the first of equals; NaN counts as the extreme.
    /// Refused on a device without `i64`.
    ArgReduce {
        /// Which.
        kind: ArgReduction,
        /// The axis; its size is at least 1.
        axis: usize,
        /// Whether the axis stays, with size 1.
        keep_dims: bool,
    },
    /// Running sums along `axis`: `y[i] = x[0] + … + x[i]`, or from the back: `y[i] = x[i] + … + x[n−1]`. Half types accumulate in `f32`.
    CumulativeSum {
        /// The axis.
        axis: usize,
        /// From the back.
        reverse: bool,
    },

    // ---- 6. Contraction --------------------------------------------------------------------------------------------
    /// `[…, m, k] × […, k, n] → […, m, n]`; leading axes broadcast. Half types accumulate in `f32`.
    Matmul,

    // ---- 7. By index; index tensors are `i64`, `i32` or `u32` ([`DType::is_index`]), each index in `0..size` -----------
    /// `y[i][j] = x[index[i][j]][j]` (axis 0; likewise for others): inputs `[x, index]` of one rank, `index` no longer than `x` on the other axes. Shape of `index`.
    Gather {
        /// The axis.
        axis: usize,
    },
    /// The adjoint of gather: `y = base; y[index[i][j]][j] += source[i][j]`: inputs `[base, index, source]`, `index` and `source` of one shape.
    /// Half types accumulate in `f32`.
    ScatterAdd {
        /// The axis.
        axis: usize,
    },
    /// Whole slices along `axis`: inputs `[x, index]` with `index` of shape `[n]`; the axis gets size n.
    IndexSelect {
        /// The axis.
        axis: usize,
    },
    /// The adjoint of index-select: `y = base; y[index[i]] += source[i]`: inputs `[base, index, source]`. Half types accumulate in `f32`.
    IndexAdd {
        /// The axis.
        axis: usize,
    },
    /// Sorted values and where they were (`i64`), along `axis`; stable; NaN last in ascending order, first in descending.
    /// Refused on a device without `i64`.
    Sort {
        /// The axis.
        axis: usize,
        /// Largest first.
        descending: bool,
    },

    // ---- 8. Composites: each has a decomposition into the groups above ---------------------------------------------
    /// The mean along `axes`: `sum / count`.
    Mean {
        /// The axes, ascending.
        axes: Axes,
        /// Whether the axes stay, with size 1.
        keep_dims: bool,
    },
    /// The variance along `axes`: `Σ(x − mean)² / (count − correction)`.
    Variance {
        /// The axes, ascending.
        axes: Axes,
        /// Whether the axes stay, with size 1.
        keep_dims: bool,
        /// 1 for the sample variance, 0 for the population's.
        correction: usize,
    },
    /// `ln Σ exp(x)` along `axes`, shifted by the maximum so that it cannot overflow: right to a few units in the last place of the result.
    LogSumExp {
        /// The axes, ascending.
        axes: Axes,
        /// Whether the axes stay, with size 1.
        keep_dims: bool,
    },
    /// `exp(x_i) / Σ_j exp(x_j)` along `axis`, shifted by the maximum.
    Softmax {
        /// The axis.
        axis: usize,
    },
    /// `x_i − ln Σ_j exp(x_j)` along `axis`, as `(x_i − max) − ln Σ_j exp(x_j − max)`: at large x the logarithm is not lost.
    LogSoftmax {
        /// The axis.
        axis: usize,
    },
    /// An activation function, element by element.
    Activate(Activation),
    /// `gradient · f′` of an activation whose derivative can be told from its output: inputs `[gradient, output]`.
    ActivationGradient(Activation),
    /// `activation(x·Wᵀ + b)`: inputs `[x: […, in], W: [out, in]]` and `b: [out]` if `bias`. Shape `[…, out]`.
    Linear {
        /// Whether there is a third input.
        bias: bool,
        /// Applied to the result.
        activation: Activation,
    },
    /// Softmax cross-entropy on class indices: inputs `[logits: [batch, classes], target: [batch]]`, the target an index, and `weight: [classes]`
    /// if weighted.
    CrossEntropy(CrossEntropy),
    /// Binary cross-entropy on logits: inputs `[logits, target]` of one shape and dtype.
    BinaryCrossEntropy(BinaryCrossEntropy),
    /// `(x − mean) / sqrt(variance + epsilon)` over the last axes, then `· weight + bias` if affine: inputs `[x]` or `[x, weight, bias]`.
    LayerNorm(LayerNorm),
    /// One update of all parameters of a model: see [`Optimize`] for the inputs and outputs.
    Optimize(Optimize),

    // ---- 9. From a user's crate ------------------------------------------------------------------------------------
    /// An operation defined elsewhere.
    Custom(Custom),
}

/// A range of one axis: elements `start`, `start + step`, … — `length` of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SliceRange {
    /// The first element.
    pub start: usize,
    /// How many.
    pub length: usize,
    /// The distance between neighbours; negative walks backwards. Never 0.
    pub step: isize,
}

/// Functions of one tensor. `Neg`, `Abs` and `Sign` take any number, `Relu` too, `Not` takes `bool` or integers (bits); the others floats.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the function of its name")]
pub enum Unary {
    Neg,
    Abs,
    /// −1, 0 or 1; NaN stays NaN.
    Sign,
    Exp,
    /// exp(x) − 1, exact near 0.
    Expm1,
    Ln,
    /// ln(1 + x), exact near 0.
    Ln1p,
    Sqrt,
    /// 1/√x.
    Rsqrt,
    /// 1/x.
    Recip,
    Sin,
    Cos,
    Tanh,
    /// 1/(1 + exp(−x)).
    Sigmoid,
    /// The error function, 2/√π ∫₀ˣ exp(−t²) dt.
    Erf,
    Floor,
    Ceil,
    /// To the nearest integer, halves to even.
    Round,
    /// max(x, 0); NaN stays NaN.
    Relu,
    /// Logical for `bool`, bitwise for integers.
    Not,
    /// What nobody knows: for tests that it is refused. See the top of this file.
    #[doc(hidden)]
    Unknown,
}

/// Functions of two tensors. `And`, `Or`, `Xor` take `bool` (logical) or integers (bitwise); the others numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is the function of its name")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// Integers truncate; an integer division by 0 gives 0.
    Div,
    /// xʸ; integers wrap, a negative integer power gives 0 (±1 for base ±1).
    Pow,
    /// NaN wins.
    Min,
    /// NaN wins.
    Max,
    And,
    Or,
    Xor,
    /// What nobody knows: for tests that it is refused. See the top of this file.
    #[doc(hidden)]
    Unknown,
}

/// Comparisons, as in IEEE: NaN is unequal to all and neither less nor greater. `bool` orders `false < true`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is the comparison of its name")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// How [`Op::Reduce`] reduces. `Max` and `Min` of `bool` are "any" and "all".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is the reduction of its name")]
pub enum Reduction {
    Sum,
    Prod,
    /// NaN wins.
    Max,
    /// NaN wins.
    Min,
}

/// Which position [`Op::ArgReduce`] finds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is the reduction of its name")]
pub enum ArgReduction {
    Max,
    Min,
}

/// Activation functions that layers fuse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Activation {
    /// x.
    #[default]
    Identity,
    /// max(x, 0).
    Relu,
    /// 1/(1 + exp(−x)).
    Sigmoid,
    /// tanh x.
    Tanh,
    /// ½x(1 + erf(x/√2)). Hendrycks & Gimpel 2016.
    Gelu,
    /// ½x(1 + tanh(√(2/π)(x + 0.044715x³))).
    GeluTanh,
    /// x·sigmoid(x), also called swish.
    Silu,
    /// What nobody knows: for tests that it is refused. See the top of this file.
    #[doc(hidden)]
    Unknown,
}

impl Activation {
    /// Whether f′(x) can be told from f(x): then a fused layer need not keep x.
    pub fn derivative_from_output(self) -> bool {
        matches!(self, Self::Identity | Self::Relu | Self::Sigmoid | Self::Tanh | Self::Unknown)
    }
}

/// What a loss does with its values: one for each sample.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ReductionKind {
    /// The average (weighted, where there are weights).
    #[default]
    Mean,
    /// The sum.
    Sum,
    /// One value a sample.
    None,
}

/// Attributes of [`Op::CrossEntropy`].
///
/// Per sample: `−w_y·[(1−s)·ln p_y] − (s/C)·Σ_c w_c·ln p_c`, with s the label smoothing and p the softmax of the logits.
/// `Mean` divides by the sum of w_y over the samples that count, as PyTorch does.
///
/// It depends on the differences of a sample's logits alone, to the last digits. What the logits of an ignored sample hold does not matter, be it
/// −∞ or NaN; an infinite loss with a weight of 0 counts 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CrossEntropy {
    /// What becomes of the values.
    pub reduction: ReductionKind,
    /// From 0 (none) to 1.
    pub label_smoothing: Real,
    /// Samples with this target count nothing. A number that the target's dtype does not have occurs nowhere.
    pub ignore_index: Option<i64>,
    /// Whether there is a third input, the weight of each class.
    pub weighted: bool,
    /// Whether there is a second output: the gradient of the sum of the first one with respect to the logits, made in the same pass.
    pub with_gradient: bool,
}

/// Attributes of [`Op::BinaryCrossEntropy`]: per element `max(x, 0) − x·y + ln(1 + exp(−|x|))`, computed as `|x|·t + ln(1 + exp(−|x|))` with
/// t the share on the wrong side of 0, `1 − y` of a positive x and `y` of others. A logit of ±∞ on the right side costs 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct BinaryCrossEntropy {
    /// What becomes of the values.
    pub reduction: ReductionKind,
    /// Whether there is a second output: the gradient of the sum of the first one with respect to the logits, made in the same pass.
    pub with_gradient: bool,
}

/// Attributes of [`Op::LayerNorm`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LayerNorm {
    /// How many of the last axes are normalised together.
    pub axes: usize,
    /// Added to the variance.
    pub epsilon: Real,
    /// Whether there are a weight and a bias of the shape of those axes.
    pub affine: bool,
}

/// One optimizer update of any number of parameters at once.
///
/// The first input holds what changes from step to step, so that the operation itself does not. The parameters follow in
/// groups; each tensor handed over with its last handle is updated in place.
///
/// Every kind computes in the parameter's [accumulator](crate::DType::accumulator) dtype, in which it keeps its states,
/// and rounds the new parameter once: for a parameter of `f16` or `bf16` states are `f32`. The gradient has the
/// parameter's dtype or that of the states.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Optimize {
    /// Stochastic gradient descent. Inputs: `[scalars: [2], (parameter, gradient, velocity if momentum ≠ 0)…]`, with scalars = (learning rate,
    /// gradient factor). Outputs: `[(parameter, velocity)…]`.
    ///
    /// g ← g + weight_decay·p; v ← momentum·v + factor·g; g ← g + momentum·v if nesterov, else v; p ← p − learning_rate·g.
    /// The factor is 1 at the first step and 1 − dampening later, as in PyTorch.
    Sgd {
        /// The share of the old velocity that stays; 0 for none, and then there is no velocity.
        momentum: Real,
        /// Look ahead along the velocity.
        nesterov: bool,
        /// L2 penalty, added to the gradient.
        weight_decay: Real,
    },
    /// Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019) if decoupled. Inputs: `[scalars: [3], (parameter, gradient, m, v, v_max if amsgrad)…]`,
    /// with scalars = (learning rate, 1 − β₁ᵗ, 1 − β₂ᵗ). Outputs: `[(parameter, m, v, v_max if amsgrad)…]`.
    ///
    /// m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − learning_rate · (m/(1−β₁ᵗ)) / (√(v/(1−β₂ᵗ)) + ε).
    Adam {
        /// Decay of the first moment.
        beta1: Real,
        /// Decay of the second moment.
        beta2: Real,
        /// Added to the denominator.
        epsilon: Real,
        /// Added to the gradient, or, if decoupled, p ← p·(1 − learning_rate·weight_decay) first.
        weight_decay: Real,
        /// AdamW.
        decoupled: bool,
        /// Divide by the largest second moment so far.
        amsgrad: bool,
    },
    /// Adam's moments with a step of another shape: NAdam (Dozat 2016) and RAdam (Liu et al. 2020). Inputs: `[scalars:
    /// [5], (parameter, gradient, m, v)…]`, with scalars = (learning rate, a, b, c, d). Outputs: `[(parameter, m,
    /// v)…]`.
    ///
    /// m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − (a·g + b·m) / (c·√v + d).
    Moments {
        /// Decay of the first moment.
        beta1: Real,
        /// Decay of the second moment.
        beta2: Real,
        /// Added to the gradient, or, if decoupled, p ← p·(1 − learning_rate·weight_decay) first.
        weight_decay: Real,
        /// Whether weight decay acts on the parameters and not through the gradient.
        decoupled: bool,
    },
    /// AdaGrad (Duchi, Hazan & Singer 2011). Inputs: `[scalars: [1], (parameter, gradient, v)…]`, with scalars =
    /// (learning rate). Outputs: `[(parameter, v)…]`.
    ///
    /// g ← g + weight_decay·p; v ← v + g²; p ← p − learning_rate · g / (√v + ε).
    AdaGrad {
        /// Added to the denominator.
        epsilon: Real,
        /// L2 penalty, added to the gradient.
        weight_decay: Real,
    },
    /// RMSprop (Tieleman & Hinton 2012; centred: Graves 2013). Inputs: `[scalars: [1], (parameter, gradient, v, mean if
    /// centred, velocity if momentum ≠ 0)…]`, with scalars = (learning rate). Outputs: `[(parameter, v, mean,
    /// velocity)…]`.
    ///
    /// g ← g + weight_decay·p; v ← decay·v + (1−decay)g²; mean ← decay·mean + (1−decay)g; s ← g / (√(v − mean²) + ε),
    /// without mean unless centred; velocity ← momentum·velocity + s; p ← p − learning_rate·velocity, or ·s without
    /// momentum.
    RmsProp {
        /// The share of the old averages that stays.
        decay: Real,
        /// Added to the denominator.
        epsilon: Real,
        /// The share of the old velocity that stays; 0 for none, and then there is no velocity.
        momentum: Real,
        /// Divide by the deviation instead of the root of the mean square.
        centred: bool,
        /// L2 penalty, added to the gradient.
        weight_decay: Real,
    },
    /// Lion (Chen et al. 2023). Inputs: `[scalars: [1], (parameter, gradient, m)…]`, with scalars = (learning rate).
    /// Outputs: `[(parameter, m)…]`.
    ///
    /// p ← p·(1 − learning_rate·weight_decay) − learning_rate · sign(β₁m + (1−β₁)g); m ← β₂m + (1−β₂)g.
    Lion {
        /// The share of the momentum in the step.
        beta1: Real,
        /// The share of the momentum that stays.
        beta2: Real,
        /// The share of the parameters that goes, times the learning rate.
        weight_decay: Real,
    },
    /// What nobody knows, with one scalar and no state: for tests that it is refused. See the top of this file.
    #[doc(hidden)]
    Unknown,
}

impl Optimize {
    /// How many values the first input holds.
    pub fn scalars(&self) -> usize {
        match self {
            Self::Sgd { .. } => 2,
            Self::Adam { .. } => 3,
            Self::Moments { .. } => 5,
            Self::AdaGrad { .. } | Self::RmsProp { .. } | Self::Lion { .. } | Self::Unknown => 1,
        }
    }

    /// How many state tensors follow each parameter and gradient.
    pub fn states(&self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => usize::from(momentum.get() != 0.0),
            Self::Adam { amsgrad, .. } => 2 + usize::from(*amsgrad),
            Self::Moments { .. } => 2,
            Self::AdaGrad { .. } | Self::Lion { .. } => 1,
            Self::RmsProp { centred, momentum, .. } => 1 + usize::from(*centred) + usize::from(momentum.get() != 0.0),
            Self::Unknown => 0,
        }
    }
}

impl Op {
    /// The operation's name, in snake case: what errors, traces and profiles say.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::Arange { .. } => "arange",
            Self::Random { .. } => "random",
            Self::Reshape { .. } => "reshape",
            Self::Permute { .. } => "permute",
            Self::Expand { .. } => "expand",
            Self::Slice { .. } => "slice",
            Self::Contiguous => "contiguous",
            Self::Pad { .. } => "pad",
            Self::Concat { .. } => "concat",
            Self::Unary(kind) => kind.name(),
            Self::Binary(kind) => kind.name(),
            Self::Compare(kind) => kind.name(),
            Self::Clamp { .. } => "clamp",
            Self::Where => "where",
            Self::Cast { .. } => "cast",
            Self::Reduce { kind: Reduction::Sum, .. } => "sum",
            Self::Reduce { kind: Reduction::Prod, .. } => "prod",
            Self::Reduce { kind: Reduction::Max, .. } => "max",
            Self::Reduce { kind: Reduction::Min, .. } => "min",
            Self::ArgReduce { kind: ArgReduction::Max, .. } => "argmax",
            Self::ArgReduce { kind: ArgReduction::Min, .. } => "argmin",
            Self::CumulativeSum { .. } => "cumsum",
            Self::Matmul => "matmul",
            Self::Gather { .. } => "gather",
            Self::ScatterAdd { .. } => "scatter_add",
            Self::IndexSelect { .. } => "index_select",
            Self::IndexAdd { .. } => "index_add",
            Self::Sort { .. } => "sort",
            Self::Mean { .. } => "mean",
            Self::Variance { .. } => "var",
            Self::LogSumExp { .. } => "logsumexp",
            Self::Softmax { .. } => "softmax",
            Self::LogSoftmax { .. } => "log_softmax",
            Self::Activate(kind) => kind.name(),
            Self::ActivationGradient(_) => "activation_gradient",
            Self::Linear { .. } => "linear",
            Self::CrossEntropy(_) => "cross_entropy",
            Self::BinaryCrossEntropy(_) => "binary_cross_entropy_with_logits",
            Self::LayerNorm(_) => "layer_norm",
            Self::Optimize(Optimize::Sgd { .. }) => "sgd",
            Self::Optimize(Optimize::Adam { decoupled: false, .. }) => "adam",
            Self::Optimize(Optimize::Adam { decoupled: true, .. }) => "adamw",
            Self::Optimize(Optimize::Moments { .. }) => "moments",
            Self::Optimize(Optimize::AdaGrad { .. }) => "adagrad",
            Self::Optimize(Optimize::RmsProp { .. }) => "rmsprop",
            Self::Optimize(Optimize::Lion { .. }) => "lion",
            Self::Optimize(Optimize::Unknown) => "unknown",
            Self::Custom(custom) => custom.name(),
        }
    }

    /// Whether the operation only looks at its input differently (group 2).
    pub fn is_view(&self) -> bool {
        matches!(self, Self::Reshape { .. } | Self::Permute { .. } | Self::Expand { .. } | Self::Slice { .. })
    }

    /// Whether the operation has a decomposition, so that a backend need not run it (groups 8 and 9).
    #[inline]
    pub fn is_composite(&self) -> bool {
        matches!(
            self,
            Self::Mean { .. }
                | Self::Variance { .. }
                | Self::LogSumExp { .. }
                | Self::Softmax { .. }
                | Self::LogSoftmax { .. }
                | Self::Activate(_)
                | Self::ActivationGradient(_)
                | Self::Linear { .. }
                | Self::CrossEntropy(_)
                | Self::BinaryCrossEntropy(_)
                | Self::LayerNorm(_)
                | Self::Optimize(_)
                | Self::Custom(_)
        )
    }
}

impl Unary {
    /// Every unary function.
    pub const ALL: [Self; 20] = [
        Self::Neg,
        Self::Abs,
        Self::Sign,
        Self::Exp,
        Self::Expm1,
        Self::Ln,
        Self::Ln1p,
        Self::Sqrt,
        Self::Rsqrt,
        Self::Recip,
        Self::Sin,
        Self::Cos,
        Self::Tanh,
        Self::Sigmoid,
        Self::Erf,
        Self::Floor,
        Self::Ceil,
        Self::Round,
        Self::Relu,
        Self::Not,
    ];

    /// The function's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Neg => "neg",
            Self::Abs => "abs",
            Self::Sign => "sign",
            Self::Exp => "exp",
            Self::Expm1 => "expm1",
            Self::Ln => "ln",
            Self::Ln1p => "ln1p",
            Self::Sqrt => "sqrt",
            Self::Rsqrt => "rsqrt",
            Self::Recip => "recip",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Erf => "erf",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
            Self::Round => "round",
            Self::Relu => "relu",
            Self::Not => "not",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the function is defined for elements of `dtype`.
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            Self::Neg => dtype.is_float() || matches!(dtype, DType::I64 | DType::I32),
            Self::Abs | Self::Sign | Self::Relu => dtype != DType::Bool,
            Self::Not => !dtype.is_float(),
            Self::Unknown => true,
            _ => dtype.is_float(),
        }
    }
}

impl Binary {
    /// Every binary function.
    pub const ALL: [Self; 10] =
        [Self::Add, Self::Sub, Self::Mul, Self::Div, Self::Pow, Self::Min, Self::Max, Self::And, Self::Or, Self::Xor];

    /// The function's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Pow => "pow",
            Self::Min => "minimum",
            Self::Max => "maximum",
            Self::And => "and",
            Self::Or => "or",
            Self::Xor => "xor",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the function is defined for elements of `dtype`.
    pub fn accepts(self, dtype: DType) -> bool {
        match self {
            Self::And | Self::Or | Self::Xor => !dtype.is_float(),
            Self::Unknown => true,
            _ => dtype != DType::Bool,
        }
    }
}

impl Comparison {
    /// Every comparison.
    pub const ALL: [Self; 6] =
        [Self::Equal, Self::NotEqual, Self::Less, Self::LessEqual, Self::Greater, Self::GreaterEqual];

    /// The comparison's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::NotEqual => "not_equal",
            Self::Less => "less",
            Self::LessEqual => "less_equal",
            Self::Greater => "greater",
            Self::GreaterEqual => "greater_equal",
        }
    }
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 7] =
        [Self::Identity, Self::Relu, Self::Sigmoid, Self::Tanh, Self::Gelu, Self::GeluTanh, Self::Silu];

    /// The activation's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Silu => "silu",
            Self::Unknown => "unknown",
        }
    }
}
