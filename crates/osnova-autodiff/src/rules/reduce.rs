//! Reductions and running sums.

use super::{NOTHING, OUTPUT, Record, Rule, SHAPES, X, one};
use osnova_tensor::{Op, Reduction, Result, Shape, Tensor};
use smallvec::SmallVec;

pub(super) fn rule(op: &Op) -> Option<Rule> {
    Some(match op {
        // ∂Σx/∂xᵢ = 1
        Op::Reduce { kind: Reduction::Sum, .. } => one(SHAPES, |g, of| restore(&g, of, of.shape(0))),
        // ∂Πx/∂xᵢ = Π_{j≠i} xⱼ, without dividing: correct at zeros, and again differentiable there
        Op::Reduce { kind: Reduction::Prod, .. } => {
            one(X, |g, of| restore(&g, of, of.x().shape())? * products_of_others(of.x(), axes(of)))
        }
        // [xᵢ = y] / how many are equal to y; NaN where y is NaN, which equals nothing
        Op::Reduce { kind: Reduction::Max | Reduction::Min, .. } => one(X | OUTPUT, |g, of| {
            let x = of.x();
            let extreme = x.equal(restore(of.output(), of, x.shape())?)?;
            let count = extreme.to_dtype(x.dtype())?.sum(axes(of), true)?;
            let share = (g.reshape(count.shape())? / &count)?;
            let nothing = ((&count * 0.0)? / count)?;
            extreme.where_(share, nothing)
        }),
        // ∂yⱼ/∂xᵢ = 1 for j ≥ i: running sums from the other end
        Op::CumulativeSum { .. } => one(NOTHING, |g, of| {
            let Op::CumulativeSum { axis, reverse } = *of.op else { return Ok(g) };
            Ok(Tensor::apply(&Op::CumulativeSum { axis, reverse: !reverse }, [g])?.remove(0))
        }),
        // 1/n
        Op::Mean { .. } => one(SHAPES, |g, of| {
            let count = count(axes(of), of.shape(0));
            restore(&(g / count as f64)?, of, of.shape(0))
        }),
        // 2(xᵢ − mean)/(n − correction)
        Op::Variance { .. } => one(X, |g, of| {
            let Op::Variance { correction, .. } = *of.op else { return Ok(g) };
            let x = of.x();
            let freedom = (count(axes(of), x.shape()) as f64 - correction as f64).max(0.0);
            let centred = (x - x.mean(axes(of), true)?)?;
            restore(&(g * 2.0)?, of, x.shape())? * (centred / freedom)
        }),
        // exp(xᵢ − y) = eˣᵢ / Σ eˣ. The sum of the left sides is 1 but for the rounding of y, which at large x is more than all of y − max x.
        Op::LogSumExp { .. } => one(X | OUTPUT, |g, of| {
            // At an infinite y, 0 in its place avoids ∞ − ∞.
            let y = of.output();
            let y = y.abs()?.less(f64::INFINITY)?.where_(y, 0.0)?;
            let shares = (of.x() - restore(&y, of, of.x().shape())?)?.exp()?;
            let total = shares.sum(axes(of), true)?;
            // No share at all where every x is −∞.
            let total = total.equal(0.0)?.where_(1.0, total)?;
            (g.reshape(total.shape())? / total)?.expand(shares.shape())? * shares
        }),
        _ => return None,
    })
}

fn axes<'a>(of: &'a Record) -> &'a [usize] {
    match of.op {
        Op::Reduce { axes, .. } | Op::Mean { axes, .. } | Op::Variance { axes, .. } | Op::LogSumExp { axes, .. } => {
            axes
        }
        _ => &[],
    }
}

fn count(axes: &[usize], shape: &Shape) -> usize {
    axes.iter().map(|&axis| shape[axis]).product()
}

/// A reduced tensor repeated along the axes that were reduced. A view.
fn restore(reduced: &Tensor, of: &Record, shape: &Shape) -> Result<Tensor> {
    reduced.reshape(shape.reduced(axes(of), true))?.expand(shape)
}

/// For each element the product of the others along `axes`: running products from both ends, by doubling.
fn products_of_others(x: &Tensor, axes: &[usize]) -> Result<Tensor> {
    if axes.is_empty() {
        return x.ones_like();
    }
    // The reduced axes go to the end and become one.
    let kept: SmallVec<[usize; 8]> = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
    let order: SmallVec<[usize; 8]> = kept.iter().chain(axes).copied().collect();
    let moved = x.permute(&order[..])?;
    let mut dims: SmallVec<[usize; 8]> = moved.dims()[..kept.len()].into();
    dims.push(count(axes, x.shape()));
    let rows = moved.reshape(&dims[..])?;
    let before = products_before(&rows)?;
    let after = products_before(&rows.flip(-1isize)?)?.flip(-1isize)?;
    let others = zero_among_others(&rows, (before * after)?)?.reshape(moved.shape())?;
    let mut inverse: SmallVec<[usize; 8]> = SmallVec::from_elem(0, order.len());
    for (place, &axis) in order.iter().enumerate() {
        inverse[axis] = place;
    }
    others.permute(&inverse[..])
}

/// The products of others with 0 where a zero is among them and the partial products overflow: 0 · ∞ of finite numbers.
fn zero_among_others(rows: &Tensor, products: Tensor) -> Result<Tensor> {
    let zeros = rows.equal(0.0)?.to_dtype(rows.dtype())?;
    let other_zeros = (zeros.sum(-1isize, true)? - zeros)?.greater(0.0)?;
    let finite = rows.is_finite()?.min(-1isize, true)?;
    let lost = products.is_nan()?.and(other_zeros)?.and(finite)?;
    lost.where_(0.0, products)
}

/// `y[i] = x[0] ⋯ x[i−1]` along the last axis.
fn products_before(x: &Tensor) -> Result<Tensor> {
    let length = x.size(-1)?;
    if length == 0 {
        return Ok(x.clone());
    }
    let shifted = |x: &Tensor, by: usize| {
        let mut padding: SmallVec<[(usize, usize); 8]> = SmallVec::from_elem((0, 0), x.rank());
        padding[x.rank() - 1] = (by, 0);
        x.narrow(-1, 0, length - by)?.pad(&padding, true)
    };
    let mut products = shifted(x, 1)?;
    let mut reach = 1;
    while reach < length {
        products = (&products * shifted(&products, reach)?)?;
        reach *= 2;
    }
    Ok(products)
}
