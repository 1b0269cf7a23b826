//! Functions element by element.

use super::operators::{Operand, resolve_pair};
use super::run;
use crate::{Binary, Comparison, DType, Op, Result, Scalar, Tensor, Unary};
use smallvec::smallvec;

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $method:ident => $kind:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// A dtype it is not defined for.
        pub fn $method(&self) -> Result<Self> {
            self.unary(Unary::$kind)
        }
    )*};
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $method:ident => $kind:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// Shapes that do not broadcast, dtypes that differ or that it is not defined for.
        pub fn $method(&self, other: impl Operand) -> Result<Self> {
            self.binary(Binary::$kind, other)
        }
    )*};
}

macro_rules! compare_methods {
    ($($(#[$doc:meta])* $method:ident => $kind:ident;)*) => {$(
        $(#[$doc])*
        /// Gives `bool`; broadcasts.
        ///
        /// # Errors
        /// Shapes that do not broadcast, dtypes that differ.
        pub fn $method(&self, other: impl Operand) -> Result<Self> {
            self.compare(Comparison::$kind, other)
        }
    )*};
}

impl Tensor {
    /// A function of each element.
    ///
    /// # Errors
    /// A dtype it is not defined for.
    #[inline]
    pub fn unary(&self, kind: Unary) -> Result<Self> {
        run(&Op::Unary(kind), smallvec![self.clone()])
    }

    /// A function of each pair of elements, with broadcasting.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes that differ or that it is not defined for.
    #[inline]
    pub fn binary(&self, kind: Binary, other: impl Operand) -> Result<Self> {
        let other = other.resolve(self.dtype(), self.device())?;
        run(&Op::Binary(kind), smallvec![self.clone(), other])
    }

    /// A comparison of each pair of elements, with broadcasting; gives `bool`.
    ///
    /// # Errors
    /// Shapes that do not broadcast, dtypes that differ.
    pub fn compare(&self, kind: Comparison, other: impl Operand) -> Result<Self> {
        let other = other.resolve(self.dtype(), self.device())?;
        run(&Op::Compare(kind), smallvec![self.clone(), other])
    }

    unary_methods! {
        /// −x.
        neg => Neg;
        /// |x|.
        abs => Abs;
        /// −1, 0 or 1.
        sign => Sign;
        /// eˣ.
        exp => Exp;
        /// eˣ − 1, exact near 0.
        exp_m1 => Expm1;
        /// The natural logarithm.
        ln => Ln;
        /// ln(1 + x), exact near 0.
        ln_1p => Ln1p;
        /// √x.
        sqrt => Sqrt;
        /// 1/√x.
        rsqrt => Rsqrt;
        /// 1/x.
        recip => Recip;
        /// The sine of x in radians.
        sin => Sin;
        /// The cosine of x in radians.
        cos => Cos;
        /// The hyperbolic tangent.
        tanh => Tanh;
        /// 1/(1 + e⁻ˣ).
        sigmoid => Sigmoid;
        /// The error function.
        erf => Erf;
        /// The largest integer not above x.
        floor => Floor;
        /// The smallest integer not below x.
        ceil => Ceil;
        /// The nearest integer, halves to even.
        round => Round;
        /// max(x, 0).
        relu => Relu;
        /// Logical (`bool`) or bitwise (integers) not.
        not => Not;
    }

    binary_methods! {
        /// x + y. The operator `+` does the same.
        add => Add;
        /// x − y. The operator `-` does the same.
        sub => Sub;
        /// x · y. The operator `*` does the same.
        mul => Mul;
        /// x / y. The operator `/` does the same.
        div => Div;
        /// xʸ.
        pow => Pow;
        /// The smaller of both; NaN wins.
        minimum => Min;
        /// The larger of both; NaN wins.
        maximum => Max;
        /// Logical (`bool`) or bitwise (integers) and.
        and => And;
        /// Logical (`bool`) or bitwise (integers) or.
        or => Or;
        /// Logical (`bool`) or bitwise (integers) exclusive or.
        xor => Xor;
    }

    compare_methods! {
        /// x = y
        equal => Equal;
        /// x ≠ y
        not_equal => NotEqual;
        /// x < y
        less => Less;
        /// x ≤ y
        less_equal => LessEqual;
        /// x > y
        greater => Greater;
        /// x ≥ y
        greater_equal => GreaterEqual;
    }

    /// x².
    ///
    /// # Errors
    /// A `bool` tensor.
    pub fn square(&self) -> Result<Self> {
        self.binary(Binary::Mul, self)
    }

    /// Each element kept between two numbers.
    ///
    /// # Errors
    /// Numbers that do not fit the dtype.
    pub fn clamp(&self, low: impl Into<Scalar>, high: impl Into<Scalar>) -> Result<Self> {
        let [low, high] = [low.into(), high.into()].map(|bound: Scalar| bound.as_held(self.dtype()));
        run(&Op::Clamp { low, high }, smallvec![self.clone()])
    }

    /// On a `bool` condition: x where it is true, y where it is not, with broadcasting.
    ///
    /// # Errors
    /// A condition that is not `bool`, shapes that do not broadcast, dtypes that differ.
    pub fn where_(&self, x: impl Operand, y: impl Operand) -> Result<Self> {
        let (x, y) = resolve_pair(x, y, self.device())?;
        run(&Op::Where, smallvec![self.clone(), x, y])
    }

    /// Whether each element is NaN; `false` for dtypes without NaN.
    ///
    /// # Errors
    /// Out of memory.
    pub fn is_nan(&self) -> Result<Self> {
        self.not_equal(self)
    }

    /// Whether each element is neither NaN nor infinite.
    ///
    /// # Errors
    /// Out of memory.
    pub fn is_finite(&self) -> Result<Self> {
        if !self.dtype().is_float() {
            return Self::ones(*self.shape(), DType::Bool, self.device().without_recording());
        }
        self.detach().abs()?.less(f64::INFINITY)
    }
}
