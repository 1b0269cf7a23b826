//! A step length by the strong Wolfe conditions: enough descent, and a slope that has flattened enough.

use osnova_tensor::Result;

/// How much of the descent that the slope promises must come true (Armijo's condition).
const DESCENT: f64 = 1e-4;
/// How much of the slope may be left.
const CURVATURE: f64 = 0.9;

/// What a length along the direction gives.
#[derive(Clone, Debug)]
pub(super) struct Trial<G> {
    pub(super) length: f64,
    pub(super) loss: f64,
    /// The derivative of the loss along the direction.
    pub(super) slope: f64,
    pub(super) gradient: G,
}

/// Searches from `start` (length 0), trying `first` and then lengths by cubic interpolation (Nocedal & Wright,
/// algorithms 3.5 and 3.6, as in PyTorch and minFunc); gives the best trial and how many were made. A loss or a slope
/// that is not finite counts as infinitely high.
///
/// The search ends when its bracket is shorter than `shortest`, or after `budget` interpolations.
pub(super) fn strong_wolfe<G: Clone>(
    start: &Trial<G>,
    first: f64,
    shortest: f64,
    budget: usize,
    mut evaluate: impl FnMut(f64) -> Result<Trial<G>>,
) -> Result<(Trial<G>, usize)> {
    let mut trials = 0;
    let mut attempt = |length: f64| {
        trials += 1;
        let mut trial = evaluate(length)?;
        if !(trial.loss.is_finite() && trial.slope.is_finite()) {
            trial.loss = f64::INFINITY;
        }
        Ok::<_, Box<osnova_tensor::Error>>(trial)
    };
    let too_high = |trial: &Trial<G>| trial.loss > start.loss + DESCENT * trial.length * start.slope;
    let flat = |trial: &Trial<G>| trial.slope.abs() <= -CURVATURE * start.slope;

    // Go on until two lengths have a minimum between them.
    let mut previous = start.clone();
    let mut current = attempt(first)?;
    let mut rounds = 0;
    let mut bracket = loop {
        if rounds == budget {
            break [start.clone(), current];
        }
        if too_high(&current) || (rounds > 1 && current.loss >= previous.loss) {
            break [previous, current];
        }
        if flat(&current) {
            return Ok((current, trials));
        }
        if current.slope >= 0.0 {
            break [previous, current];
        }
        let bounds = (current.length + 0.01 * (current.length - previous.length), current.length * 10.0);
        let next = attempt(interpolate(&previous, &current, bounds))?;
        previous = std::mem::replace(&mut current, next);
        rounds += 1;
    };

    // Narrow the bracket down. The lower end is the lowest that satisfies Armijo's condition; PyTorch takes the lowest
    // of all, and after a first length far too long loses the minimum.
    let (mut low, mut high) = if too_high(&bracket[1]) || bracket[0].loss <= bracket[1].loss { (0, 1) } else { (1, 0) };
    let mut slow = false;
    while rounds < budget && (bracket[1].length - bracket[0].length).abs() >= shortest {
        let (least, most) = (bracket[0].length.min(bracket[1].length), bracket[0].length.max(bracket[1].length));
        let mut length = interpolate(&bracket[0], &bracket[1], (least, most));
        // Twice in a row near an end, or on it: a tenth of the bracket away from it instead.
        let margin = 0.1 * (most - least);
        let near = (most - length).min(length - least) < margin;
        if near && (slow || length >= most || length <= least) {
            length = if (length - most).abs() < (length - least).abs() { most - margin } else { least + margin };
            slow = false;
        } else {
            slow = near;
        }
        let trial = attempt(length)?;
        rounds += 1;
        if too_high(&trial) || trial.loss >= bracket[low].loss {
            bracket[high] = trial;
            continue;
        }
        if flat(&trial) {
            return Ok((trial, trials));
        }
        // Where the minimum lies between the trial and the old lower end, that becomes the higher one.
        if trial.slope * (bracket[high].length - bracket[low].length) >= 0.0 {
            (low, high) = (high, low);
        }
        bracket[low] = trial;
    }
    let [first, second] = bracket;
    Ok((if low == 0 { first } else { second }, trials))
}

/// Where the cubic through two trials and their slopes has its minimum, held within bounds; their middle where it has
/// none.
fn interpolate<G>(a: &Trial<G>, b: &Trial<G>, (least, most): (f64, f64)) -> f64 {
    let (a, b) = if a.length <= b.length { (a, b) } else { (b, a) };
    let first = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.length - b.length);
    let square = first * first - a.slope * b.slope;
    if !(square >= 0.0 && square.is_finite()) {
        return (least + most) / 2.0;
    }
    let root = square.sqrt();
    let minimum = b.length - (b.length - a.length) * ((b.slope + root - first) / (b.slope - a.slope + 2.0 * root));
    minimum.max(least).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The search along a function of one variable from 0.
    fn search(function: impl Fn(f64) -> (f64, f64), first: f64) -> (Trial<()>, usize) {
        let trial = |length: f64| {
            let (loss, slope) = function(length);
            Trial { length, loss, slope, gradient: () }
        };
        strong_wolfe(&trial(0.0), first, 1e-9, 25, |length| Ok(trial(length))).unwrap()
    }

    #[test]
    fn both_conditions_hold_for_a_first_length_too_short_or_too_long() {
        type Function = fn(f64) -> (f64, f64);
        let functions: [Function; 4] = [
            |t| ((t - 1.0).powi(2), 2.0 * (t - 1.0)),
            |t| ((t - 1.0).powi(4) + 0.1 * t, 4.0 * (t - 1.0).powi(3) + 0.1),
            |t| (0.1 * t * t - t.sin(), 0.2 * t - t.cos()),
            |t| (-t / (t * t + 2.0), (t * t - 2.0) / (t * t + 2.0).powi(2)),
        ];
        for function in functions {
            let (loss, slope) = function(0.0);
            for first in [1e-3, 0.1, 1.0, 10.0, 1000.0] {
                let (found, trials) = search(function, first);
                assert!(found.loss <= loss + DESCENT * found.length * slope + 1e-12, "{first}: {found:?}");
                assert!(found.slope.abs() <= -CURVATURE * slope, "{first}: {found:?}");
                assert!(trials <= 26, "{trials}");
            }
        }
    }

    #[test]
    fn where_the_loss_is_not_finite_the_search_comes_back() {
        let function = |t: f64| if t < 2.0 { ((t - 1.0).powi(2), 2.0 * (t - 1.0)) } else { (f64::NAN, f64::NAN) };
        let (found, _) = search(function, 50.0);
        assert!(found.length < 2.0 && found.loss < 0.999, "{found:?}");
    }

    #[test]
    fn where_the_slope_is_not_finite_the_search_comes_back() {
        // A loss that looks better and better where its gradient is NaN.
        let function = |t: f64| if t < 2.0 { ((t - 1.0).powi(2), 2.0 * (t - 1.0)) } else { (-t, f64::NAN) };
        for first in [1.0, 3.0, 50.0] {
            let (found, _) = search(function, first);
            assert!(found.length < 2.0 && found.slope.is_finite(), "{found:?}");
        }
    }

    #[test]
    fn a_direction_without_descent_stays_where_it_is() {
        // The slope promises a descent that never comes.
        let (found, trials) = search(|t| (t.abs(), if t == 0.0 { -1.0 } else { 1.0 }), 1.0);
        assert!(found.length < 1e-6 && trials <= 26, "{found:?}");
    }
}
