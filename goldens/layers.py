"""Goldens of layers, activations as modules, and losses: outputs and the gradients of inputs and parameters."""

import inspect

import numpy as np
import torch
from torch import nn

from goldens_io import Goldens, assert_close, generator


def random(name, *shape, scale=1.0):
    return torch.from_numpy(np.asarray(generator(name).normal(size=shape) * scale))


class Layers(Goldens):
    def module(self, name, module, inputs, gradients=(0,), f32=True, **attributes):
        """Records `module(*inputs)`. Parameters are drawn here, not by PyTorch's initialisers, to depend on nothing but the name."""
        module = module.double()
        with torch.no_grad():
            for key, parameter in module.named_parameters():
                parameter.copy_(random(f"{name}/{key}", *parameter.shape, scale=0.6))
            for key, buffer in module.named_buffers():
                buffer.copy_(random(f"{name}/{key}", *buffer.shape).abs() + 0.5 if buffer.is_floating_point() else torch.tensor(3))
        doubles = self.record(name, module, inputs, gradients, attributes, name)
        if f32:
            inputs = [tensor.float() if tensor.dtype == torch.float64 else tensor for tensor in inputs]
            singles = self.record(f"{name}_f32", module.float(), inputs, gradients, attributes, name)
            for key, double in doubles.items():
                assert_close(f"{name}_f32/{key}", singles[key], double)

    def record(self, name, module, inputs, gradients, attributes, seed):
        inputs = [tensor.detach().clone() for tensor in inputs]
        for index in gradients:
            inputs[index].requires_grad_(True)
        module.zero_grad()
        before = {key: buffer.clone() for key, buffer in module.named_buffers()}
        output = module(*inputs)
        cotangent = random(f"{seed}/cotangent", *output.shape).to(output.dtype)
        (output * cotangent).sum().backward()
        results = {"output/0": output}
        for index in gradients:
            results[f"gradient/{index}"] = inputs[index].grad
        for key, parameter in module.named_parameters():
            self.put(f"{name}/parameter/{key}", parameter)
            results[f"parameter_gradient/{key}"] = parameter.grad
        # What the forward pass made of running statistics; then back, for the next precision.
        with torch.no_grad():
            for key, buffer in module.named_buffers():
                self.put(f"{name}/parameter/{key}", before[key])
                results[f"buffer/{key}"] = buffer.clone()
                buffer.copy_(before[key])
        for index, tensor in enumerate(inputs):
            self.put(f"{name}/input/{index}", tensor)
        self.put(f"{name}/cotangent/0", cotangent)
        for key, tensor in results.items():
            self.put(f"{name}/{key}", tensor)
        self.describe(name, module=type(module).__name__, gradients=list(gradients), parameters=[key for key, _ in module.named_parameters()], **attributes)
        return {key: tensor.detach().clone() for key, tensor in results.items()}


# What PyTorch has no module for, by the formulas of the papers.


class SwiGLU(nn.Module):
    def forward(self, input):
        gate, value = input.chunk(2, -1)
        return nn.functional.silu(gate) * value


class SoftmaxWithTemperature(nn.Module):
    def __init__(self, temperature):
        super().__init__()
        self.temperature = temperature

    def forward(self, input):
        return torch.softmax(input / self.temperature, -1)


class HingeLoss(nn.Module):
    def __init__(self, margin, reduction):
        super().__init__()
        self.margin, self.reduction = margin, reduction

    def forward(self, score, target):
        return reduced(torch.relu(self.margin - target * score), self.reduction)


class FocalLoss(nn.Module):
    def __init__(self, alpha, gamma, reduction):
        super().__init__()
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction

    def forward(self, logits, target):
        probability = torch.sigmoid(logits)
        missing = 1 - (probability * target + (1 - probability) * (1 - target))
        values = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * missing**self.gamma
        return reduced((self.alpha * target + (1 - self.alpha) * (1 - target)) * values, self.reduction)


def reduced(values, reduction):
    return {"mean": torch.mean, "sum": torch.sum, "none": lambda values: values}[reduction](values)


def linears(goldens):
    for label, shape in (("matrix", (4, 5)), ("vector", (5,)), ("batched", (2, 3, 5)), ("empty", (0, 5))):
        for bias in (True, False):
            goldens.module(f"linear_{label}{'' if bias else '_no_bias'}", nn.Linear(5, 3, bias=bias), [random(f"linear_{label}", *shape)], in_features=5, out_features=3, bias=bias)
    for label, activation in (("relu", nn.ReLU), ("tanh", nn.Tanh), ("sigmoid", nn.Sigmoid)):
        # state_dict names 0.weight, 0.bias, 2.weight, 2.bias, 4.weight, 4.bias
        model = nn.Sequential(nn.Linear(6, 5), activation(), nn.Linear(5, 4), activation(), nn.Linear(4, 3))
        goldens.module(f"sequential_{label}", model, [random(f"sequential_{label}", 7, 6)], sizes=[6, 5, 4, 3], activation=activation.__name__)


def activations(goldens):
    # Both sides of every kink and both saturated ends; PyTorch's choice at the kinks stands in the cases that end in _kinks.
    values = torch.tensor([[-30.0, -6.5, -3.2, -2.9, -1.7], [-1.2, -0.9, -0.31, -1e-4, 1e-4], [0.4, 0.8, 1.3, 2.6, 3.4], [5.9, 7.1, 19.0, 21.0, 40.0]], dtype=torch.float64)
    kinks = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0], dtype=torch.float64)
    modules = {
        "relu": nn.ReLU(), "leaky_relu": nn.LeakyReLU(0.01), "leaky_relu_slope": nn.LeakyReLU(0.2), "elu": nn.ELU(), "elu_alpha": nn.ELU(0.5), "selu": nn.SELU(),
        "gelu": nn.GELU(), "gelu_tanh": nn.GELU(approximate="tanh"), "silu": nn.SiLU(), "softplus": nn.Softplus(), "softplus_beta": nn.Softplus(2.0, 5.0), "mish": nn.Mish(),
        "hardtanh": nn.Hardtanh(), "hardtanh_bounds": nn.Hardtanh(-2.0, 0.5), "hardsigmoid": nn.Hardsigmoid(), "hardswish": nn.Hardswish(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(),
        "softsign": nn.Softsign(), "log_sigmoid": nn.LogSigmoid(), "relu6": nn.ReLU6(), "celu": nn.CELU(0.7), "identity": nn.Identity(),
    }
    names = ("negative_slope", "alpha", "approximate", "beta", "threshold", "min_val", "max_val")
    for name, module in modules.items():
        attributes = {key: getattr(module, key) for key in names if hasattr(module, key) and key in inspect.signature(type(module)).parameters}
        goldens.module(name, module, [values], **attributes)
        if name in ("relu", "leaky_relu", "elu", "selu", "hardtanh", "hardsigmoid", "hardswish", "celu"):
            goldens.module(f"{name}_kinks", module, [kinks], f32=False, **attributes)
    for name, module in {"tanhshrink": nn.Tanhshrink(), "softshrink": nn.Softshrink(0.6), "hardshrink": nn.Hardshrink(0.6), "threshold": nn.Threshold(0.5, -2.0)}.items():
        attributes = {key: getattr(module, key) for key in ("lambd", "threshold", "value") if hasattr(module, key)}
        goldens.module(name, module, [values], **attributes)
        goldens.module(f"{name}_kinks", module, [torch.tensor([-0.6, -0.5, 0.0, 0.5, 0.6], dtype=torch.float64)], f32=False, **attributes)
    for count in (1, 3):
        goldens.module(f"prelu_{count}", nn.PReLU(count), [random("prelu", 4, 3, 5)], num_parameters=count)
        goldens.module(f"prelu_{count}_kinks", nn.PReLU(count), [torch.zeros(2, 3, dtype=torch.float64)], f32=False, num_parameters=count)
    goldens.module("glu", nn.GLU(), [random("glu", 3, 4, 6, scale=2.0)], axis=-1)
    goldens.module("glu_axis_1", nn.GLU(1), [random("glu", 3, 4, 6, scale=2.0)], axis=1)
    goldens.module("swiglu", SwiGLU(), [random("swiglu", 3, 4, 6, scale=2.0)], axis=-1)
    for temperature in (0.2, 5.0):
        goldens.module(f"softmax_temperature_{temperature}", SoftmaxWithTemperature(temperature), [random("softmax_temperature", 3, 4, scale=2.0)], temperature=temperature)
    for name, kind in (("softmax", nn.Softmax), ("log_softmax", nn.LogSoftmax), ("softmin", nn.Softmin)):
        for axis in (0, 1, -1):
            goldens.module(f"{name}_axis_{str(axis).replace('-', 'm')}", kind(dim=axis), [random(name, 2, 3, 4, scale=2.0)], axis=axis)


def norms(goldens):
    for label, shape, normalised in (("last", (4, 6), (6,)), ("rank3", (2, 3, 5), (5,)), ("two_axes", (2, 3, 4), (3, 4))):
        for affine in (True, False):
            name = f"layer_norm_{label}{'' if affine else '_plain'}"
            goldens.module(name, nn.LayerNorm(normalised, elementwise_affine=affine), [random(name, *shape) * 2.0 + 1.0], normalized_shape=list(normalised), epsilon=1e-5, affine=affine)
    goldens.module("layer_norm_no_bias", nn.LayerNorm(6, eps=1e-3, bias=False), [random("layer_norm_no_bias", 4, 6)], normalized_shape=[6], epsilon=1e-3, affine=True)
    # A constant row: the variance is zero and epsilon alone carries the division.
    goldens.module("layer_norm_constant", nn.LayerNorm(4), [torch.full((2, 4), 3.0, dtype=torch.float64)], f32=False, normalized_shape=[4], epsilon=1e-5, affine=True)


def batch_norms(goldens):
    shapes = {"1d": (nn.BatchNorm1d, (6, 3)), "1d_length": (nn.BatchNorm1d, (4, 3, 5)), "2d": (nn.BatchNorm2d, (2, 3, 4, 5)), "3d": (nn.BatchNorm3d, (2, 3, 2, 3, 2))}
    for label, (kind, shape) in shapes.items():
        for training in (True, False):
            for affine in (True, False):
                name = f"batch_norm_{label}{'' if training else '_eval'}{'' if affine else '_plain'}"
                goldens.module(name, kind(3, affine=affine).train(training), [random(name, *shape) * 2.0 + 1.0], training=training, channels=3, epsilon=1e-5, momentum=0.1, affine=affine, track=True)
    options = {"momentum": dict(momentum=0.7), "cumulative": dict(momentum=None), "epsilon": dict(eps=0.1), "untracked": dict(track_running_stats=False), "untracked_eval": dict(track_running_stats=False)}
    for label, option in options.items():
        training = not label.endswith("eval")
        module = nn.BatchNorm1d(3, **option).train(training)
        goldens.module(f"batch_norm_{label}", module, [random(label, 6, 3)], training=training, channels=3, epsilon=module.eps, momentum=module.momentum, affine=True, track=module.track_running_stats)
    # A constant channel: the variance is zero and epsilon alone carries the division.
    goldens.module("batch_norm_constant", nn.BatchNorm1d(2), [torch.full((4, 2), 3.0, dtype=torch.float64)], f32=False, training=True, channels=2, epsilon=1e-5, momentum=0.1, affine=True, track=True)


def group_norms(goldens):
    for label, groups, shape in (("rows", 2, (4, 6)), ("images", 3, (2, 6, 3, 4)), ("one", 1, (2, 6, 5)), ("each", 6, (2, 6, 5))):
        for affine in (True, False):
            goldens.module(f"group_norm_{label}{'' if affine else '_plain'}", nn.GroupNorm(groups, 6, affine=affine), [random(f"group_norm_{label}", *shape) * 2.0 + 1.0], groups=groups, channels=6, epsilon=1e-5, affine=affine)
    for label, kind, shape in (("1d", nn.InstanceNorm1d, (2, 3, 5)), ("2d", nn.InstanceNorm2d, (2, 3, 4, 5))):
        for affine in (True, False):
            goldens.module(f"instance_norm_{label}{'' if affine else '_plain'}", kind(3, affine=affine), [random(f"instance_norm_{label}", *shape) * 2.0 + 1.0], channels=3, epsilon=1e-5, affine=affine)
    for label, shape, normalised, epsilon, affine in (("last", (4, 6), (6,), None, True), ("two_axes", (2, 3, 4), (3, 4), 1e-3, True), ("plain", (4, 6), (6,), 1e-6, False)):
        goldens.module(f"rms_norm_{label}", nn.RMSNorm(normalised, eps=epsilon, elementwise_affine=affine), [random(f"rms_norm_{label}", *shape) * 2.0 + 1.0], normalized_shape=list(normalised), epsilon=epsilon, affine=affine)


def more_losses(goldens):
    """Likelihoods, divergences and margins."""
    for reduction in ("mean", "sum", "none"):
        def loss(name, module, inputs, gradients=(0,), **options):
            attributes = {key: value for key, value in options.items() if not isinstance(value, torch.Tensor)}
            tensors = {key: value for key, value in options.items() if isinstance(value, torch.Tensor)}
            name = f"{name}_{reduction}"
            goldens.module(name, module, inputs, gradients, reduction=reduction, options=sorted(tensors), **attributes)
            for suffix, dtype in (("", torch.float64), ("_f32", torch.float32)):
                for key, value in tensors.items():
                    goldens.put(f"{name}{suffix}/option/{key}", value.to(dtype))

        # The mean over the batch, which is the divergence.
        kind = "batchmean" if reduction == "mean" else reduction
        log_probabilities = torch.log_softmax(random(f"kl_{reduction}", 4, 5, scale=2.0), 1)
        probabilities = torch.softmax(random(f"kl_target_{reduction}", 4, 5, scale=2.0), 1)
        certain = nn.functional.one_hot(torch.tensor([0, 3, 2, 4]), 5).double()
        loss("kl", nn.KLDivLoss(reduction=kind), [log_probabilities, probabilities], (0, 1), log_target=False)
        loss("kl_certain", nn.KLDivLoss(reduction=kind), [log_probabilities, certain], log_target=False)
        loss("kl_log_target", nn.KLDivLoss(reduction=kind, log_target=True), [log_probabilities, probabilities.log()], (0, 1), log_target=True)
        counts = torch.from_numpy(generator(f"counts_{reduction}").poisson(2.0, (4, 3))).double()
        rates = random(f"rates_{reduction}", 4, 3)
        loss("poisson", nn.PoissonNLLLoss(reduction=reduction), [rates, counts], log_input=True, full=False)
        loss("poisson_full", nn.PoissonNLLLoss(reduction=reduction, full=True), [rates, counts], log_input=True, full=True)
        loss("poisson_rate", nn.PoissonNLLLoss(reduction=reduction, log_input=False), [rates.exp(), counts], log_input=False, full=False)
        mean, target, variance = random(f"mean_{reduction}", 4, 3), random(f"numbers_{reduction}", 4, 3), random(f"variance_{reduction}", 4, 3).exp()
        loss("gaussian", nn.GaussianNLLLoss(reduction=reduction), [mean, target, variance], (0, 1, 2), full=False, epsilon=1e-6)
        loss("gaussian_full", nn.GaussianNLLLoss(reduction=reduction, full=True, eps=0.8), [mean, target, variance], (0, 1, 2), full=True, epsilon=0.8)
        signs = random(f"signs_{reduction}", 4, 3).sign()
        loss("hinge", HingeLoss(1.0, reduction), [mean, signs], margin=1.0)
        loss("hinge_margin", HingeLoss(0.3, reduction), [mean, signs], margin=0.3)
        for alpha, gamma in ((0.25, 2.0), (0.7, 0.5), (0.5, 0.0)):
            loss(f"focal_{gamma}", FocalLoss(alpha, gamma, reduction), [mean * 3.0, signs.clamp(min=0.0)], alpha=alpha, gamma=gamma)
        scores, classes = random(f"scores_{reduction}", 5, 4), torch.from_numpy(generator(f"margin_classes_{reduction}").integers(0, 4, 5))
        weight = random(f"margin_weight_{reduction}", 4).abs() + 0.3
        loss("multi_margin", nn.MultiMarginLoss(reduction=reduction), [scores, classes], margin=1.0, squared=False)
        loss("multi_margin_squared", nn.MultiMarginLoss(p=2, margin=0.7, weight=weight, reduction=reduction), [scores, classes], margin=0.7, squared=True, weight=weight)
        first, second, third = (random(f"vectors_{name}_{reduction}", 5, 4) for name in ("first", "second", "third"))
        loss("cosine", nn.CosineEmbeddingLoss(reduction=reduction), [first, second, random(f"pairs_{reduction}", 5).sign()], (0, 1), margin=0.0)
        loss("cosine_margin", nn.CosineEmbeddingLoss(margin=0.3, reduction=reduction), [first, second, random(f"pairs_{reduction}", 5).sign()], (0, 1), margin=0.3)
        loss("triplet", nn.TripletMarginLoss(reduction=reduction), [first, second, third], (0, 1, 2), margin=1.0, swap=False)
        loss("triplet_swap", nn.TripletMarginLoss(margin=2.0, swap=True, reduction=reduction), [first, second, third], (0, 1, 2), margin=2.0, swap=True)


def losses(goldens):
    for reduction in ("mean", "sum", "none"):
        prediction, target = random(f"regression_{reduction}", 4, 3, scale=1.5), random(f"regression_target_{reduction}", 4, 3, scale=1.5)
        probability = torch.sigmoid(random(f"probability_{reduction}", 4, 3))
        labels = random(f"labels_{reduction}", 4, 3).gt(0).double()
        logits, classes = random(f"logits_{reduction}", 5, 4, scale=2.0), torch.from_numpy(generator(f"classes_{reduction}").integers(0, 4, 5))
        soft = torch.softmax(random(f"soft_{reduction}", 5, 4), 1)
        masked = classes.clone()
        masked[2] = -100
        weight, pos_weight, element_weight = (random(f"{name}_{reduction}", size).abs() + 0.3 for name, size in (("weight", 4), ("pos_weight", 3), ("element_weight", 3)))

        def loss(name, kind, inputs, gradients=(0,), **options):
            attributes = {key: value for key, value in options.items() if not isinstance(value, torch.Tensor)}
            tensors = {key: value for key, value in options.items() if isinstance(value, torch.Tensor)}
            name = f"{name}_{reduction}"
            goldens.module(name, kind(reduction=reduction, **options), inputs, gradients, reduction=reduction, options=sorted(tensors), **attributes)
            for suffix, dtype in (("", torch.float64), ("_f32", torch.float32)):
                for key, value in tensors.items():
                    goldens.put(f"{name}{suffix}/option/{key}", value.to(dtype))

        loss("mse", nn.MSELoss, [prediction, target], (0, 1))
        loss("l1", nn.L1Loss, [prediction, target], (0, 1))
        for delta in (1.0, 0.4):
            suffix = "" if delta == 1.0 else "_small"
            loss(f"huber{suffix}", nn.HuberLoss, [prediction, target], (0, 1), delta=delta)
            loss(f"smooth_l1{suffix}", nn.SmoothL1Loss, [prediction, target], (0, 1), beta=delta)
        loss("bce", nn.BCELoss, [probability, labels])
        loss("bce_weight", nn.BCELoss, [probability, labels], weight=element_weight)
        # At probabilities of exactly 0 and 1 PyTorch holds each logarithm at -100 or above.
        edges = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5], dtype=torch.float64), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0], dtype=torch.float64)
        goldens.module(f"bce_edges_{reduction}", nn.BCELoss(reduction=reduction), list(edges), f32=False, reduction=reduction, options=[])
        loss("bce_with_logits", nn.BCEWithLogitsLoss, [prediction, labels])
        loss("bce_with_logits_pos_weight", nn.BCEWithLogitsLoss, [prediction, labels], pos_weight=pos_weight)
        loss("bce_with_logits_both", nn.BCEWithLogitsLoss, [prediction, labels], weight=element_weight, pos_weight=pos_weight)
        loss("cross_entropy", nn.CrossEntropyLoss, [logits, classes])
        loss("cross_entropy_soft", nn.CrossEntropyLoss, [logits, soft])
        loss("cross_entropy_all", nn.CrossEntropyLoss, [logits, masked], weight=weight, label_smoothing=0.1, ignore_index=-100)
        log_probabilities = torch.log_softmax(logits, 1)
        loss("nll", nn.NLLLoss, [log_probabilities, classes])
        loss("nll_weight", nn.NLLLoss, [log_probabilities, masked], weight=weight, ignore_index=-100)
        if reduction == "mean":
            # At equal values: L1 takes gradient 0.
            same = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
            for name, kind in (("l1", nn.L1Loss), ("huber", nn.HuberLoss), ("smooth_l1", nn.SmoothL1Loss)):
                goldens.module(f"{name}_equal", kind(), [same, same.clone()], (0, 1), f32=False, reduction="mean", options=[])


def make():
    goldens = Layers()
    for family in (linears, activations, norms, batch_norms, group_norms, losses, more_losses):
        family(goldens)
    return goldens
