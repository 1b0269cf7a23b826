//! By index: reading and adding are each other's adjoint.

use super::{NOTHING, Rule, SECOND, SHAPES, Y, one, three, two, zeros};
use osnova_tensor::Op;

pub(super) fn rule(op: &Op) -> Option<Rule> {
    Some(match op {
        // Added where it was read
        Op::Gather { .. } => two(
            (Y | SHAPES, |g, of| zeros(of.shape(0), &g)?.scatter_add(axis(of.op), of.y(), &g)),
            (NOTHING, |g, _| Ok(g)),
        ),
        // The base as it is; the source read where it was added
        Op::ScatterAdd { .. } => {
            three((NOTHING, |g, _| Ok(g)), (NOTHING, |g, _| Ok(g)), (Y, |g, of| g.gather(axis(of.op), of.y())))
        }
        Op::IndexSelect { .. } => two(
            (Y | SHAPES, |g, of| zeros(of.shape(0), &g)?.index_add(axis(of.op), of.y(), &g)),
            (NOTHING, |g, _| Ok(g)),
        ),
        Op::IndexAdd { .. } => {
            three((NOTHING, |g, _| Ok(g)), (NOTHING, |g, _| Ok(g)), (Y, |g, of| g.index_select(axis(of.op), of.y())))
        }
        // Back to where the values came from: the second output
        Op::Sort { .. } => one(SECOND, |g, of| zeros(g.shape(), &g)?.scatter_add(axis(of.op), of.second(), &g)),
        _ => return None,
    })
}

fn axis(op: &Op) -> isize {
    match op {
        Op::Gather { axis }
        | Op::ScatterAdd { axis }
        | Op::IndexSelect { axis }
        | Op::IndexAdd { axis }
        | Op::Sort { axis, .. } => *axis as isize,
        _ => 0,
    }
}
