//! Optimizer updates.

use super::{Draw, Entry};
use crate::draw::{case, shape_of_rank};
use crate::values::Values;
use osnova_tensor::{DType, Op, Optimize, Real};
use proptest::prelude::*;

fn sgd() -> BoxedStrategy<Optimize> {
    any::<[bool; 3]>()
        .prop_map(|[momentum, nesterov, decay]| Optimize::Sgd {
            momentum: Real::new(if momentum { 0.9 } else { 0.0 }),
            nesterov: momentum && nesterov,
            weight_decay: Real::new(if decay { 0.1 } else { 0.0 }),
        })
        .boxed()
}

fn adam(decoupled: bool) -> BoxedStrategy<Optimize> {
    any::<[bool; 2]>()
        .prop_map(move |[decay, amsgrad]| Optimize::Adam {
            beta1: Real::new(0.9),
            beta2: Real::new(0.99),
            epsilon: Real::new(1e-3),
            weight_decay: Real::new(if decay { 0.1 } else { 0.0 }),
            decoupled,
            amsgrad,
        })
        .boxed()
}

pub(super) fn optimize(draw: &Draw) -> Vec<Entry> {
    let scalars = [DType::F32, DType::F64].into_iter().find(|dtype| draw.dtypes.contains(dtype));
    // An update is never differentiated: it happens after the backward pass.
    let (true, Some(scalars)) = (draw.plain(), scalars) else { return Vec::new() };
    let entry = |name: &str, attributes: BoxedStrategy<Optimize>| {
        let shapes = proptest::collection::vec(shape_of_rank(0..=3usize), 0..4);
        let cases =
            (shapes, draw.dtype(DType::is_float)?, attributes).prop_flat_map(move |(shapes, dtype, attributes)| {
                let mut parts = vec![(vec![attributes.scalars()], scalars, Values::Between(0.05, 0.95))];
                for dims in shapes {
                    parts.push((dims.clone(), dtype, Values::Between(-2.0, 2.0)));
                    parts.push((dims.clone(), dtype, Values::Between(-2.0, 2.0)));
                    // The first state is a velocity or mean, the others are means of squares: positive.
                    for state in 0..attributes.states() {
                        let values = if state == 0 { Values::Between(-1.0, 1.0) } else { Values::Between(0.1, 2.0) };
                        parts.push((dims.clone(), dtype, values));
                    }
                }
                case(Op::Optimize(attributes), parts)
            });
        Some((name.to_string(), cases.boxed()))
    };
    [entry("sgd", sgd()), entry("adam", adam(false)), entry("adamw", adam(true))].into_iter().flatten().collect()
}
