//! Charts of codes and of training.

use super::latent::missing;
use osnova_tensor::{Error, Result, Tensor};
use osnova_train::History;
use osnova_train::plot::{LineChart, ScatterChart};
use std::collections::{BTreeMap, BTreeSet};

/// Curves further apart than this would flatten each other on a linear axis.
const FAR_APART: f64 = 20.0;

/// What [`Generation`](crate::Generation) shows besides the parts of the loss.
const NO_PARTS: [&str; 2] = ["loss", "active_units"];

/// Two dimensions (counted from 0) of codes, `[samples, latent_features]`, as points, in the colours of their classes if those
/// are given. Classes are called by `class_names`, or by number where there are fewer names.
///
/// # Errors
/// Codes of another rank, dimensions that they do not have, another number of classes than of codes, a class below 0.
pub fn latent_scatter(
    codes: &Tensor,
    classes: Option<&[i64]>,
    class_names: &[impl AsRef<str>],
    dimensions: (usize, usize),
) -> Result<ScatterChart> {
    let &[samples, latent] = codes.dims() else {
        return Err(Error::shape(
            "latent_scatter",
            [*codes.shape()],
            "these are no codes",
            "Give [samples, latent_features]",
        ));
    };
    for dimension in [dimensions.0, dimensions.1] {
        if dimension >= latent {
            return Err(missing("latent_scatter", dimension, latent));
        }
    }
    let column = |dimension: usize| -> Result<Vec<f64>> {
        Ok(codes.detach().select(1, dimension as isize)?.to_host()?.to_f64())
    };
    let points: Vec<(f64, f64)> = column(dimensions.0)?.into_iter().zip(column(dimensions.1)?).collect();
    let chart = ScatterChart::new("Latent codes")
        .x_label(format!("code {}", dimensions.0))
        .y_label(format!("code {}", dimensions.1))
        .size(680, 600);
    let Some(classes) = classes else { return Ok(chart.series("codes", points)) };
    if classes.len() != samples {
        let problem = format!("there are {} classes for {samples} codes", classes.len());
        return Err(Error::argument("latent_scatter", problem, "Give one for each"));
    }
    let mut groups: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for (class, point) in classes.iter().zip(points) {
        let class = usize::try_from(*class);
        let class =
            class.map_err(|_| Error::argument("latent_scatter", "a class is below 0", "Count classes from 0"))?;
        groups.entry(class).or_default().push(point);
    }
    Ok(groups.into_iter().fold(chart, |chart, (class, points)| {
        let name = class_names.get(class).map_or_else(|| class.to_string(), |name| name.as_ref().to_owned());
        chart.series(name, points)
    }))
}

/// The parts of the loss epoch by epoch, in training and in validation: `reconstruction` first, then the others by name. Where
/// one is much larger than another, the axis is logarithmic, so that both can be seen to fall.
pub fn training_curves(history: &History) -> LineChart {
    let stages = ["train", "validation"];
    let names = history.metric_names();
    let parts =
        names.iter().filter_map(|name| stages.iter().find_map(|stage| name.strip_prefix(stage)?.strip_prefix('_')));
    let parts: BTreeSet<(bool, &str)> =
        parts.filter(|part| !NO_PARTS.contains(part)).map(|part| (part != "reconstruction", part)).collect();

    let mut chart = LineChart::new("Parts of the loss").x_label("epoch").y_label("mean a sample");
    let (mut largest, mut positive): (Vec<f64>, bool) = (Vec::new(), true);
    for (_, part) in parts {
        for stage in stages {
            let values = history.series(&format!("{stage}_{part}"));
            let finite = || values.iter().copied().filter(|value| value.is_finite());
            let Some(most) = finite().reduce(f64::max) else { continue };
            largest.push(most);
            positive &= finite().all(|value| value > 0.0);
            let epochs = history.epochs.iter().map(|record| record.epoch as f64);
            chart = chart.series(format!("{part}, {stage}"), epochs.zip(values));
        }
    }
    let span = largest.iter().copied().fold(0.0, f64::max) / largest.iter().copied().fold(f64::INFINITY, f64::min);
    if positive && span > FAR_APART { chart.log_y() } else { chart }
}
