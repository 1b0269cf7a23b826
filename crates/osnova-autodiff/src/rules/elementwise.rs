//! Element by element.

use super::{NOTHING, OUTPUT, Rule, SHAPES, X, Y, one, three, two};
use osnova_tensor::{Activation, Binary, Op, Result, Tensor, Unary};
use std::f64::consts::FRAC_2_SQRT_PI;

/// One row a function: what f′ reads, and g·f′.
pub(super) fn unary(kind: Unary) -> Option<Rule> {
    Some(match kind {
        // (−x)′ = −1
        Unary::Neg => one(NOTHING, |g, _| g.neg()),
        // |x|′ = sign x; 0 at 0
        Unary::Abs => one(X, |g, of| of.x().equal(0.0)?.where_(0.0, g * of.x().sign())),
        // Steps: 0 wherever there is a derivative
        Unary::Sign | Unary::Floor | Unary::Ceil | Unary::Round => one(NOTHING, |g, _| g.zeros_like()),
        // (eˣ)′ = eˣ
        Unary::Exp => one(OUTPUT, |g, of| g * of.output()),
        // (eˣ − 1)′ = eˣ
        Unary::Expm1 => one(OUTPUT, |g, of| g * (of.output() + 1.0)),
        // (ln x)′ = 1/x
        Unary::Ln => one(X, |g, of| g / of.x()),
        // (ln(1 + x))′ = 1/(1 + x)
        Unary::Ln1p => one(X, |g, of| g / (of.x() + 1.0)),
        // (√x)′ = 1/(2√x)
        Unary::Sqrt => one(OUTPUT, |g, of| g / (of.output() * 2.0)),
        // (x^−½)′ = −½ (x^−½)³, one factor at a time: the cube may overflow where the product with g does not
        Unary::Rsqrt => one(OUTPUT, |g, of| (((g * of.output())? * of.output())? * of.output())? * -0.5),
        // (1/x)′ = −(1/x)²
        Unary::Recip => one(OUTPUT, |g, of| ((g * of.output())? * of.output())?.neg()),
        // (sin x)′ = cos x
        Unary::Sin => one(X, |g, of| g * of.x().cos()),
        // (cos x)′ = −sin x
        Unary::Cos => one(X, |g, of| (g * of.x().sin())?.neg()),
        // (tanh x)′ = 1 − tanh² x
        Unary::Tanh => one(OUTPUT, |g, of| activation_gradient(Activation::Tanh, g, of.output())),
        // σ′ = σ(1 − σ)
        Unary::Sigmoid => one(OUTPUT, |g, of| activation_gradient(Activation::Sigmoid, g, of.output())),
        // erf′ = 2/√π · e^(−x²)
        Unary::Erf => one(X, |g, of| g * (of.x().square()?.neg()?.exp()? * FRAC_2_SQRT_PI)),
        // max(x, 0)′ = [x > 0]
        Unary::Relu => one(OUTPUT, |g, of| activation_gradient(Activation::Relu, g, of.output())),
        _ => return None,
    })
}

/// g·f′, told from the output; backends have it as one kernel.
pub(super) fn activation_gradient(kind: Activation, g: Tensor, output: &Tensor) -> Result<Tensor> {
    let outputs = Tensor::apply(&Op::ActivationGradient(kind), [g, output.clone()])?;
    Ok(outputs.into_iter().next().expect("every operation has an output"))
}

/// Two rows a function: ∂/∂x and ∂/∂y.
pub(super) fn binary(kind: Binary) -> Option<Rule> {
    Some(match kind {
        Binary::Add => two((NOTHING, |g, _| Ok(g)), (NOTHING, |g, _| Ok(g))),
        Binary::Sub => two((NOTHING, |g, _| Ok(g)), (NOTHING, |g, _| g.neg())),
        // y; x
        Binary::Mul => two((Y, |g, of| g * of.y()), (X, |g, of| g * of.x())),
        // 1/y; −x/y² = −(x/y)/y
        Binary::Div => two((Y, |g, of| g / of.y()), (Y | OUTPUT, |g, of| (g * (of.output() / of.y()))?.neg())),
        // y·xʸ⁻¹, 0 where y = 0; xʸ·ln x, 0 where x = 0 ≤ y and where x = ∞, y < 0
        Binary::Pow => two(
            (X | Y, |g, of| {
                // Where y = 0 and 1/x is infinite, any other x makes the product 0.
                let (x, y) = (of.x(), of.y());
                let vanishes = y.equal(0.0)?.and(x.recip()?.abs()?.equal(f64::INFINITY)?)?;
                g * (vanishes.where_(1.0, x)?.pow(y - 1.0)? * y)
            }),
            (X | Y | OUTPUT, |g, of| {
                // ln 1 = 0 stands in for the infinite logarithm.
                let (x, y) = (of.x(), of.y());
                let at_zero = x.equal(0.0)?.and(y.greater_equal(0.0)?)?;
                let vanishes = at_zero.or(x.equal(f64::INFINITY)?.and(y.less(0.0)?)?)?;
                g * (vanishes.where_(1.0, x)?.ln()? * of.output())
            }),
        ),
        // [x < y]; [x > y]; half each where equal
        Binary::Min => two(
            (X | Y, |g, of| wins(g, &of.x().greater(of.y())?, of.x(), of.y())),
            (X | Y, |g, of| wins(g, &of.y().greater(of.x())?, of.x(), of.y())),
        ),
        // [x > y]; [x < y]; half each where equal
        Binary::Max => two(
            (X | Y, |g, of| wins(g, &of.x().less(of.y())?, of.x(), of.y())),
            (X | Y, |g, of| wins(g, &of.y().less(of.x())?, of.x(), of.y())),
        ),
        _ => return None,
    })
}

/// g where one side wins, half of it where both are equal, 0 where it loses. NaN loses nowhere.
fn wins(g: Tensor, loses: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let shared = x.equal(y)?.where_(&g * 0.5, &g)?;
    loses.where_(0.0, shared)
}

pub(super) fn other(op: &Op) -> Option<Rule> {
    Some(match op {
        // [low < x < high]: 0 on the bounds too
        Op::Clamp { .. } => one(X, |g, of| {
            let Op::Clamp { low, high } = of.op else { return Ok(g) };
            let bound = |scalar: &osnova_tensor::Scalar| scalar.to_f64();
            let inside = of.x().greater(bound(low))?.and(of.x().less(bound(high))?)?;
            inside.where_(g, 0.0)
        }),
        // Nothing to the condition; [c] to x; [not c] to y
        Op::Where => {
            three((NOTHING, |g, _| Ok(g)), (X, |g, of| of.x().where_(g, 0.0)), (X, |g, of| of.x().where_(0.0, g)))
        }
        // Back to the dtype it came from
        Op::Cast { dtype } if dtype.is_float() => one(SHAPES, |g, of| {
            let mut outputs = Tensor::apply(&Op::Cast { dtype: of.metas[0].dtype }, [g])?;
            Ok(outputs.remove(0))
        }),
        _ => return None,
    })
}
