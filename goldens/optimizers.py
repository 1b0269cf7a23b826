"""Goldens of optimizers (50 steps on stored gradients), gradient clipping and learning-rate schedules."""

import math

import numpy as np
import torch

from goldens_io import Goldens, assert_close, generator

STEPS = 50
SNAPSHOTS = (1, 2, 10, 50)
SHAPES = {"weight": (3, 4), "bias": (5,)}
DTYPES = {"f64": torch.float64, "f32": torch.float32}


def problems(goldens):
    """Initial parameters and one gradient a step, independent of the parameters, so that errors do not feed back."""
    for label, dtype in DTYPES.items():
        name = f"problem_{label}"
        for key, shape in SHAPES.items():
            numbers = generator(f"problem/{key}")
            goldens.put(f"{name}/initial/{key}", torch.from_numpy(numbers.normal(size=shape)).to(dtype))
            # A drift beside the noise, magnitudes over four decades, and a run of zeros: a real training's difficulties.
            gradients = numbers.normal(size=(STEPS, *shape)) + 0.5 * np.sin(np.arange(STEPS)).reshape(-1, *[1] * len(shape))
            gradients *= 10.0 ** numbers.uniform(-3, 1, size=shape)
            gradients[20:23] = 0.0
            goldens.put(f"{name}/gradients/{key}", torch.from_numpy(gradients).to(dtype))
        goldens.describe(name, kind="problem", steps=STEPS, parameters=list(SHAPES))


def run(goldens, name, label, make_optimizer, rates):
    parameters = {key: goldens.tensors[f"problem_{label}/initial/{key}"].clone().requires_grad_(True) for key in SHAPES}
    optimizer = make_optimizer(list(parameters.values()))
    results = {}
    for step in range(STEPS):
        for key, parameter in parameters.items():
            parameter.grad = goldens.tensors[f"problem_{label}/gradients/{key}"][step].clone()
        if rates is not None:
            optimizer.param_groups[0]["lr"] = float(rates[step])
        optimizer.step()
        if step + 1 in SNAPSHOTS:
            for key, parameter in parameters.items():
                goldens.put(f"{name}_{label}/after_{step + 1}/{key}", parameter)
                results[f"after_{step + 1}/{key}"] = parameter.detach().clone()
    return results


def optimizers(goldens):
    sgd = dict(momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)
    adam = dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False)
    cases = {
        "sgd": (torch.optim.SGD, 0.01, sgd),
        "sgd_momentum": (torch.optim.SGD, 0.01, {**sgd, "momentum": 0.9}),
        "sgd_nesterov": (torch.optim.SGD, 0.01, {**sgd, "momentum": 0.9, "nesterov": True}),
        "sgd_dampening": (torch.optim.SGD, 0.01, {**sgd, "momentum": 0.9, "dampening": 0.3}),
        "sgd_weight_decay": (torch.optim.SGD, 0.01, {**sgd, "weight_decay": 0.1}),
        "sgd_momentum_weight_decay": (torch.optim.SGD, 0.01, {**sgd, "momentum": 0.8, "weight_decay": 0.05}),
        "sgd_nesterov_weight_decay": (torch.optim.SGD, 0.01, {**sgd, "momentum": 0.9, "weight_decay": 0.05, "nesterov": True}),
        "adam": (torch.optim.Adam, 0.01, adam),
        "adam_betas": (torch.optim.Adam, 0.05, {**adam, "betas": (0.8, 0.95), "eps": 1e-3}),
        "adam_weight_decay": (torch.optim.Adam, 0.01, {**adam, "weight_decay": 0.1}),
        "adam_amsgrad": (torch.optim.Adam, 0.01, {**adam, "amsgrad": True}),
        "adam_amsgrad_weight_decay": (torch.optim.Adam, 0.01, {**adam, "amsgrad": True, "weight_decay": 0.1}),
        "adamw": (torch.optim.AdamW, 0.01, {**adam, "weight_decay": 0.01}),
        "adamw_strong_decay": (torch.optim.AdamW, 0.02, {**adam, "weight_decay": 0.5}),
        "adamw_no_decay": (torch.optim.AdamW, 0.01, adam),
        "adamw_amsgrad": (torch.optim.AdamW, 0.01, {**adam, "weight_decay": 0.01, "amsgrad": True}),
        "sgd_momentum_scheduled": (torch.optim.SGD, 0.02, {**sgd, "momentum": 0.9}),
        "adamw_scheduled": (torch.optim.AdamW, 0.02, {**adam, "weight_decay": 0.1}),
    }
    for name, (kind, rate, options) in cases.items():
        # The rate falls by the cosine: step t uses element t of `learning_rates`.
        rates = torch.tensor([rate * 0.5 * (1 + math.cos(math.pi * step / STEPS)) for step in range(STEPS)], dtype=torch.float64) if "scheduled" in name else None
        results = {}
        for label in DTYPES:
            results[label] = run(goldens, name, label, lambda parameters: kind(parameters, lr=rate, foreach=False, **options), rates)
            renamed = {"eps": "epsilon"}
            attributes = {renamed.get(key, key): value for key, value in options.items()}
            if rates is not None:
                goldens.put(f"{name}_{label}/learning_rates", rates)
            goldens.describe(f"{name}_{label}", kind="optimizer", optimizer=kind.__name__, problem=f"problem_{label}", learning_rate=rate, snapshots=SNAPSHOTS, scheduled=rates is not None, **attributes)
        for key, single in results["f32"].items():
            assert_close(f"{name}_f32/{key}", single, results["f64"][key])


def clipping(goldens):
    def gradients(label, scale, dtype):
        return [torch.from_numpy(np.asarray(generator(f"clip/{label}/{index}").normal(size=shape) * scale)).to(dtype) for index, shape in enumerate(((3, 4), (5,), ()))]

    def record(name, attributes, scale, dtype, clip):
        parameters = [torch.zeros_like(gradient, requires_grad=True) for gradient in gradients("", scale, dtype)]
        for index, (parameter, gradient) in enumerate(zip(parameters, gradients("", scale, dtype))):
            parameter.grad = gradient
            goldens.put(f"{name}/input/{index}", gradient)
        total = clip(parameters)
        if total is not None:
            goldens.put(f"{name}/total_norm", total)
        for index, parameter in enumerate(parameters):
            goldens.put(f"{name}/output/{index}", parameter.grad)
        goldens.describe(name, gradients=len(parameters), **attributes)

    for label, dtype in DTYPES.items():
        for norm in (1.0, 2.0, 3.0, math.inf):
            for kind, scale, limit in (("clipped", 2.0, 1.0), ("untouched", 0.01, 1.0), ("zero", 0.0, 1.0)):
                record(f"clip_norm_{norm:g}_{kind}_{label}", dict(kind="clip_norm", norm_type="inf" if math.isinf(norm) else norm, max_norm=limit), scale, dtype,
                       lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, limit, norm_type=norm, foreach=False))
        record(f"clip_value_{label}", dict(kind="clip_value", clip_value=0.75), 2.0, dtype, lambda parameters: torch.nn.utils.clip_grad_value_(parameters, 0.75, foreach=False))


def schedules(goldens, length=60):
    from torch.optim import lr_scheduler as kinds

    def warm_up_cosine(warm_up, total):
        return lambda step: (step + 1) / warm_up if step < warm_up else 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (total - warm_up)))

    def sequential(optimizer, **_):
        warm_up = kinds.LinearLR(optimizer, start_factor=0.1, end_factor=1.0, total_iters=10)
        return kinds.SequentialLR(optimizer, [warm_up, kinds.CosineAnnealingLR(optimizer, T_max=50)], milestones=[10])

    # name: (schedule, base learning rate, metadata in our words, constructor)
    cases = {
        "step": ("StepLR", 0.1, dict(step_size=15, gamma=0.3), lambda o: kinds.StepLR(o, 15, 0.3)),
        "multi_step": ("MultiStepLR", 0.1, dict(milestones=[10, 25, 50], gamma=0.2), lambda o: kinds.MultiStepLR(o, [10, 25, 50], 0.2)),
        "exponential": ("ExponentialLR", 0.1, dict(gamma=0.95), lambda o: kinds.ExponentialLR(o, 0.95)),
        "constant": ("ConstantLR", 0.1, dict(factor=0.25, total_iters=7), lambda o: kinds.ConstantLR(o, 0.25, 7)),
        "cosine": ("CosineAnnealingLR", 0.1, dict(t_max=59, eta_min=0.0), lambda o: kinds.CosineAnnealingLR(o, 59)),
        "cosine_floor": ("CosineAnnealingLR", 0.1, dict(t_max=40, eta_min=0.01), lambda o: kinds.CosineAnnealingLR(o, 40, 0.01)),
        "linear_warm_up": ("LinearLR", 0.1, dict(start_factor=0.1, end_factor=1.0, total_iters=20), lambda o: kinds.LinearLR(o, 0.1, 1.0, 20)),
        "linear_decay": ("LinearLR", 0.1, dict(start_factor=1.0, end_factor=0.05, total_iters=45), lambda o: kinds.LinearLR(o, 1.0, 0.05, 45)),
        "polynomial": ("PolynomialLR", 0.1, dict(total_iters=50, power=1.0), lambda o: kinds.PolynomialLR(o, 50, 1.0)),
        "polynomial_square": ("PolynomialLR", 0.1, dict(total_iters=40, power=2.0), lambda o: kinds.PolynomialLR(o, 40, 2.0)),
        "warm_restarts": ("CosineAnnealingWarmRestarts", 0.1, dict(t_0=10, t_mult=1, eta_min=0.0), lambda o: kinds.CosineAnnealingWarmRestarts(o, 10)),
        "warm_restarts_doubling": ("CosineAnnealingWarmRestarts", 0.1, dict(t_0=8, t_mult=2, eta_min=0.001), lambda o: kinds.CosineAnnealingWarmRestarts(o, 8, 2, 0.001)),
        "one_cycle": ("OneCycleLR", 0.1, dict(max_learning_rate=0.1, total_steps=60, pct_start=0.3, anneal_strategy="cos", div_factor=25.0, final_div_factor=1e4, three_phase=False),
                      lambda o: kinds.OneCycleLR(o, 0.1, total_steps=60, cycle_momentum=False)),
        "one_cycle_linear": ("OneCycleLR", 0.1, dict(max_learning_rate=0.1, total_steps=60, pct_start=0.25, anneal_strategy="linear", div_factor=10.0, final_div_factor=100.0, three_phase=False),
                             lambda o: kinds.OneCycleLR(o, 0.1, total_steps=60, pct_start=0.25, anneal_strategy="linear", cycle_momentum=False, div_factor=10.0, final_div_factor=100.0)),
        "warm_up_cosine_sequential": ("SequentialLR", 0.1, dict(milestones=[10], warm_up=dict(schedule="LinearLR", start_factor=0.1, end_factor=1.0, total_iters=10),
                                      after=dict(schedule="CosineAnnealingLR", t_max=50, eta_min=0.0)), sequential),
        # factor(t) = (t + 1) / 10 for t < 10, afterwards (1 + cos(pi (t - 10) / 50)) / 2
        "warm_up_cosine_lambda": ("LambdaLR", 0.1, dict(warm_up=10, total=60), lambda o: kinds.LambdaLR(o, warm_up_cosine(10, 60))),
    }
    for name, (schedule, rate, attributes, constructor) in cases.items():
        parameter = torch.zeros(1, requires_grad=True)
        optimizer = torch.optim.SGD([parameter], lr=rate)
        scheduler, rates = constructor(optimizer), []
        for step in range(length):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            if step + 1 < length:
                scheduler.step()
        goldens.put(f"schedule_{name}/learning_rates", torch.tensor(rates, dtype=torch.float64))
        goldens.describe(f"schedule_{name}", kind="schedule", schedule=schedule, learning_rate=rate, **attributes)


def make():
    goldens = Goldens()
    for family in (problems, optimizers, clipping, schedules):
        family(goldens)
    return goldens
