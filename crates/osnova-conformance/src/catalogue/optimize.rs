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

fn moments() -> BoxedStrategy<Optimize> {
    any::<[bool; 2]>()
        .prop_map(|[decay, decoupled]| Optimize::Moments {
            beta1: Real::new(0.9),
            beta2: Real::new(0.99),
            weight_decay: Real::new(if decay { 0.1 } else { 0.0 }),
            decoupled,
        })
        .boxed()
}

fn adagrad() -> BoxedStrategy<Optimize> {
    any::<bool>()
        .prop_map(|decay| Optimize::AdaGrad {
            epsilon: Real::new(1e-3),
            weight_decay: Real::new(if decay { 0.1 } else { 0.0 }),
        })
        .boxed()
}

fn rmsprop() -> BoxedStrategy<Optimize> {
    any::<[bool; 3]>()
        .prop_map(|[momentum, centred, decay]| Optimize::RmsProp {
            decay: Real::new(0.9),
            epsilon: Real::new(1e-3),
            momentum: Real::new(if momentum { 0.9 } else { 0.0 }),
            centred,
            weight_decay: Real::new(if decay { 0.1 } else { 0.0 }),
        })
        .boxed()
}

fn lion() -> BoxedStrategy<Optimize> {
    any::<bool>()
        .prop_map(|decay| Optimize::Lion {
            beta1: Real::new(0.9),
            beta2: Real::new(0.99),
            weight_decay: Real::new(if decay { 0.1 } else { 0.0 }),
        })
        .boxed()
}

/// Velocities and means of either sign, means of squares above 0. A mean square that a mean is taken from stays well
/// above its square.
fn state(attributes: &Optimize, index: usize) -> Values {
    match (attributes, index) {
        (Optimize::RmsProp { centred: true, .. }, 0) => Values::Between(2.0, 3.0),
        (Optimize::RmsProp { centred: true, .. }, 1) => Values::Between(-0.5, 0.5),
        (Optimize::AdaGrad { .. } | Optimize::RmsProp { .. }, 0) => Values::Between(0.1, 2.0),
        (Optimize::RmsProp { .. }, _) | (_, 0) => Values::Between(-1.0, 1.0),
        _ => Values::Between(0.1, 2.0),
    }
}

pub(super) fn optimize(draw: &Draw) -> Vec<Entry> {
    let scalars = [DType::F32, DType::F64].into_iter().find(|dtype| draw.dtypes.contains(dtype));
    // An update is never differentiated: it happens after the backward pass.
    let (true, Some(scalars)) = (draw.plain(), scalars) else { return Vec::new() };
    let entry = |name: &str, attributes: BoxedStrategy<Optimize>| {
        let held = draw.dtype(|dtype| dtype.is_float() && draw.dtypes.contains(&dtype.accumulator()))?;
        let groups = proptest::collection::vec((shape_of_rank(0..=3usize), any::<[bool; 2]>()), 0..4);
        let cases = (groups, held, attributes).prop_flat_map(move |(groups, dtype, attributes)| {
            let mut parts = vec![(vec![attributes.scalars()], scalars, Values::Between(0.05, 0.95))];
            for (dims, [wide, steep]) in groups {
                let gradient = if steep { Values::Decades } else { Values::Between(-2.0, 2.0) };
                // States are kept in the dtype that is computed in, and a gradient may be.
                let computed = dtype.accumulator();
                parts.push((dims.clone(), dtype, Values::Between(-2.0, 2.0)));
                parts.push((dims.clone(), if wide { computed } else { dtype }, gradient));
                for index in 0..attributes.states() {
                    parts.push((dims.clone(), computed, state(&attributes, index)));
                }
            }
            case(Op::Optimize(attributes), parts)
        });
        Some((name.to_string(), cases.boxed()))
    };
    let kinds = [
        ("sgd", sgd()),
        ("adam", adam(false)),
        ("adamw", adam(true)),
        ("moments", moments()),
        ("adagrad", adagrad()),
        ("rmsprop", rmsprop()),
        ("lion", lion()),
    ];
    kinds.into_iter().filter_map(|(name, attributes)| entry(name, attributes)).collect()
}
