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
        output = module(*inputs)
        cotangent = random(f"{seed}/cotangent", *output.shape).to(output.dtype)
        (output * cotangent).sum().backward()
        results = {"output/0": output}
        for index in gradients:
            results[f"gradient/{index}"] = inputs[index].grad
        for key, parameter in module.named_parameters():
            self.put(f"{name}/parameter/{key}", parameter)
            results[f"parameter_gradient/{key}"] = parameter.grad
        for index, tensor in enumerate(inputs):
            self.put(f"{name}/input/{index}", tensor)
        self.put(f"{name}/cotangent/0", cotangent)
        for key, tensor in results.items():
            self.put(f"{name}/{key}", tensor)
        self.describe(name, module=type(module).__name__, gradients=list(gradients), parameters=[key for key, _ in module.named_parameters()], **attributes)
        return {key: tensor.detach().clone() for key, tensor in results.items()}


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
    for family in (linears, activations, norms, losses):
        family(goldens)
    return goldens
