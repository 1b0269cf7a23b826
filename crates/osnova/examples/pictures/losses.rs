//! Losses by what they punish.

use crate::panels::panels;
use osnova::nn::losses::{BceWithLogitsLoss, FocalLoss, HingeLoss, HuberLoss, L1Loss, Loss, MseLoss};
use osnova::prelude::*;
use osnova::tensor::ReductionKind;
use osnova::train::plot::LineChart;

/// Losses of numbers by the error, and of a positive by its score.
pub(crate) fn curves() -> osnova::train::Result<String> {
    let reduction = ReductionKind::None;
    let numbers: [(&str, &dyn Loss); 4] = [
        ("squared error", &MseLoss { reduction }),
        ("absolute error", &L1Loss { reduction }),
        ("Huber, δ = 1", &HuberLoss { delta: 1.0, reduction }),
        ("Huber, δ = 0.3", &HuberLoss { delta: 0.3, reduction }),
    ];
    let focal = FocalLoss { alpha: None, gamma: 2.0, reduction };
    let classes: [(&str, &dyn Loss); 3] = [
        ("cross-entropy", &BceWithLogitsLoss { reduction, ..BceWithLogitsLoss::default() }),
        ("focal, γ = 2", &focal),
        ("hinge", &HingeLoss { margin: 1.0, reduction }),
    ];
    let chart = |title: &str, label: &str, target: f64, losses: &[(&str, &dyn Loss)]| -> Result<String> {
        let points = Tensor::linspace(-3.0, 3.0, 301, DType::F64, Device::cpu())?;
        let targets = Tensor::full(301, target, DType::F64, Device::cpu())?;
        let mut chart = LineChart::new(title).x_label(label).y_label("loss").y_range(0.0, 4.0).size(560, 400);
        for (name, loss) in losses {
            let values = loss.forward(&points, &targets)?.to_vec::<f64>()?;
            chart = chart.series(*name, points.to_vec::<f64>()?.into_iter().zip(values));
        }
        Ok(chart.to_svg())
    };
    Ok(panels(
        2,
        &[
            chart("Numbers", "prediction − target", 0.0, &numbers)?,
            chart("A sample of the positive class", "score (logit)", 1.0, &classes)?,
        ],
    ))
}
