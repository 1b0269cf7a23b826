//! Calls of the losses and of the functions of `osnova::nn`.

use crate::calls::{AXES, Call, along, calls, index_like, soon};
use osnova::nn::functions;
use osnova::nn::losses::{self, *};
use osnova::prelude::*;
use osnova::tensor::ReductionKind;

/// A class of 0 for each row.
fn classes(x: &Tensor) -> Result<Tensor> {
    Tensor::zeros((), DType::I64, x.device())?.expand([x.dims().first().copied().unwrap_or(1)])
}

pub(crate) fn losses(list: &mut Vec<Call>) {
    for reduction in [ReductionKind::Mean, ReductionKind::Sum, ReductionKind::None] {
        calls! { list;
            MseLoss => |x| MseLoss { reduction }.forward(x, x);
            L1Loss => |x| L1Loss { reduction }.forward(x, x);
            HuberLoss => |x| HuberLoss { reduction, ..Default::default() }.forward(x, x);
            HuberLoss => |x| HuberLoss { reduction, delta: f64::NAN }.forward(x, x);
            SmoothL1Loss => |x| SmoothL1Loss { reduction, beta: 0.0 }.forward(x, x);
            BceLoss => |x| BceLoss { reduction, weight: Some(x.clone()) }.forward(x, x);
            BceWithLogitsLoss => |x| BceWithLogitsLoss { reduction, ..Default::default() }.forward(x, x);
            BceWithLogitsLoss => |x| BceWithLogitsLoss { reduction, pos_weight: Some(x.clone()), ..Default::default() }.forward(x, x);
            CrossEntropyLoss => |x| CrossEntropyLoss { reduction, ..Default::default() }.forward(x, &classes(x)?);
            CrossEntropyLoss => |x| CrossEntropyLoss { reduction, label_smoothing: 0.1, ..Default::default() }.forward(x, &classes(x)?);
            CrossEntropyLoss => |x| CrossEntropyLoss { reduction, weight: Some(x.clone()), ..Default::default() }.forward(x, &classes(x)?);
            NllLoss => |x| NllLoss { reduction, ..Default::default() }.forward(x, &classes(x)?);
            NllLoss => |x| NllLoss { reduction, ignore_index: Some(0), ..Default::default() }.forward(x, &classes(x)?);
            KlDivergenceLoss => |x| KlDivergenceLoss { reduction, ..Default::default() }.forward(x, x);
            PoissonNllLoss => |x| PoissonNllLoss { reduction, full: true, ..Default::default() }.forward(x, x);
            GaussianNllLoss => |x| GaussianNllLoss { reduction, full: true, ..Default::default() }.forward(x, x, x);
            FocalLoss => |x| FocalLoss { reduction, ..Default::default() }.forward(x, x);
            FocalLoss => |x| FocalLoss { reduction, gamma: f64::NAN, ..Default::default() }.forward(x, &classes(x)?);
            HingeLoss => |x| HingeLoss { reduction, ..Default::default() }.forward(x, x);
            MultiMarginLoss => |x| MultiMarginLoss { reduction, ..Default::default() }.forward(x, &classes(x)?);
            CosineEmbeddingLoss => |x| CosineEmbeddingLoss { reduction, ..Default::default() }.forward(x, x, x);
            CosineEmbeddingLoss => |x| CosineEmbeddingLoss { reduction, ..Default::default() }.forward(x, x, &classes(x)?.to_dtype(x.dtype())?);
            TripletMarginLoss => |x| TripletMarginLoss { reduction, ..Default::default() }.forward(x, x, x);
        }
    }
    calls! { list;
        mean_squared_error => |x| losses::mean_squared_error(x, x);
        mean_absolute_error => |x| losses::mean_absolute_error(x, &x.abs()?);
        huber => |x| losses::huber(x, x, -1.0);
        smooth_l1 => |x| losses::smooth_l1(x, x, 1.0);
        binary_cross_entropy => |x| losses::binary_cross_entropy(x, x);
        binary_cross_entropy_with_logits => |x| losses::binary_cross_entropy_with_logits(x, x);
        cross_entropy => |x| losses::cross_entropy(x, &index_like(x)?);
        negative_log_likelihood => |x| losses::negative_log_likelihood(x, &classes(x)?);
        kl_divergence => |x| losses::kl_divergence(x, x);
        poisson_negative_log_likelihood => |x| losses::poisson_negative_log_likelihood(x, x);
        gaussian_negative_log_likelihood => |x| losses::gaussian_negative_log_likelihood(x, x, x);
        focal => |x| losses::focal(x, x);
        hinge => |x| losses::hinge(x, x);
        multi_margin => |x| losses::multi_margin(x, &classes(x)?);
        cosine_embedding => |x| losses::cosine_embedding(x, x, x);
        triplet_margin => |x| losses::triplet_margin(x, x, x);
    }
}

pub(crate) fn functions(list: &mut Vec<Call>) {
    for number in [1.0, 0.0, -1.0, f64::NAN, f64::INFINITY] {
        calls! { list;
            leaky_relu => |x| functions::leaky_relu(x, number);
            elu => |x| functions::elu(x, number);
            celu => |x| functions::celu(x, number);
            softplus_with => |x| functions::softplus_with(x, number, 20.0);
            softshrink => |x| functions::softshrink(x, number);
            hardshrink => |x| functions::hardshrink(x, number);
            threshold => |x| functions::threshold(x, number, number);
        }
        for axis in AXES {
            calls! { list; softmax_with_temperature => |x| soon(along(x, axis), || functions::softmax_with_temperature(x, axis, number)); }
        }
    }
    for axis in AXES {
        calls! { list;
            glu => |x| functions::glu(x, axis);
            swiglu => |x| functions::swiglu(x, axis);
            softmin => |x| soon(along(x, axis), || functions::softmin(x, axis));
        }
    }
    calls! { list;
        prelu => |x| functions::prelu(x, x);
        prelu => |x| functions::prelu(x, &Tensor::ones(1, x.dtype(), x.device())?);
        selu => |x| functions::selu(x);
        softplus => |x| functions::softplus(x);
        log_sigmoid => |x| functions::log_sigmoid(x);
        mish => |x| functions::mish(x);
        softsign => |x| functions::softsign(x);
        relu6 => |x| functions::relu6(x);
        hardsigmoid => |x| functions::hardsigmoid(x);
        hardswish => |x| functions::hardswish(x);
        tanhshrink => |x| functions::tanhshrink(x);
    }
}
