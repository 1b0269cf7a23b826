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


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al. 2023, line by line, in NumPy: PyTorch has no Lion."""

    def __init__(self, parameters, lr, betas, weight_decay, foreach):
        super().__init__(parameters, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                theta, gradient = parameter.numpy(), parameter.grad.numpy()
                moment = self.state[parameter].setdefault("moment", np.zeros_like(theta))
                direction = np.sign(beta1 * moment + (1 - beta1) * gradient)
                theta -= (group["lr"] * (direction + group["weight_decay"] * theta)).astype(theta.dtype)
                self.state[parameter]["moment"] = (beta2 * moment + (1 - beta2) * gradient).astype(theta.dtype)


def optimizers(goldens):
    sgd = dict(momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)
    adam = dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False)
    nadam = dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3, decoupled_weight_decay=False)
    radam = dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False)
    adagrad = dict(lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10)
    rmsprop = dict(alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False)
    lion = dict(betas=(0.9, 0.99), weight_decay=0.0)
    adafactor = dict(beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0)
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
        "nadam": (torch.optim.NAdam, 0.01, nadam),
        "nadam_betas": (torch.optim.NAdam, 0.05, {**nadam, "betas": (0.8, 0.95), "eps": 1e-3, "momentum_decay": 0.1}),
        "nadam_weight_decay": (torch.optim.NAdam, 0.01, {**nadam, "weight_decay": 0.1}),
        "nadam_decoupled": (torch.optim.NAdam, 0.01, {**nadam, "weight_decay": 0.1, "decoupled_weight_decay": True}),
        "radam": (torch.optim.RAdam, 0.01, radam),
        "radam_betas": (torch.optim.RAdam, 0.05, {**radam, "betas": (0.8, 0.95), "eps": 1e-3}),
        "radam_weight_decay": (torch.optim.RAdam, 0.01, {**radam, "weight_decay": 0.1}),
        "radam_decoupled": (torch.optim.RAdam, 0.01, {**radam, "weight_decay": 0.1, "decoupled_weight_decay": True}),
        "adagrad": (torch.optim.Adagrad, 0.1, adagrad),
        "adagrad_settings": (torch.optim.Adagrad, 0.1, {**adagrad, "lr_decay": 0.05, "initial_accumulator_value": 0.1, "weight_decay": 0.1, "eps": 1e-3}),
        "rmsprop": (torch.optim.RMSprop, 0.01, rmsprop),
        "rmsprop_centred": (torch.optim.RMSprop, 0.01, {**rmsprop, "centered": True, "alpha": 0.9}),
        "rmsprop_momentum": (torch.optim.RMSprop, 0.01, {**rmsprop, "momentum": 0.9, "weight_decay": 0.1}),
        "rmsprop_centred_momentum": (torch.optim.RMSprop, 0.01, {**rmsprop, "momentum": 0.9, "centered": True, "eps": 1e-3}),
        "lion": (Lion, 0.01, lion),
        "lion_settings": (Lion, 0.02, {**lion, "betas": (0.8, 0.95), "weight_decay": 0.3}),
        "adafactor": (torch.optim.Adafactor, 0.05, adafactor),
        "adafactor_settings": (torch.optim.Adafactor, 0.3, {"beta2_decay": -0.5, "eps": (1e-2, 1e-2), "d": 1.5, "weight_decay": 0.1}),
        "rmsprop_scheduled": (torch.optim.RMSprop, 0.02, {**rmsprop, "momentum": 0.5}),
        "nadam_scheduled": (torch.optim.NAdam, 0.02, {**nadam, "weight_decay": 0.1, "decoupled_weight_decay": True}),
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


def lbfgs(goldens):
    """Minimising Rosenbrock's function in a matrix and a vector: the parameters after each `step`."""

    def rosenbrock(weight, bias):
        # Five numbers in all: sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2.
        x = torch.cat([weight.reshape(-1), bias])
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    cases = {
        "lbfgs_wolfe": dict(lr=1.0, max_iter=4, history_size=100, line_search_fn="strong_wolfe"),
        "lbfgs_wolfe_short_history": dict(lr=0.5, max_iter=5, history_size=3, line_search_fn="strong_wolfe"),
        "lbfgs_plain": dict(lr=0.3, max_iter=3, history_size=10, line_search_fn=None),
        "lbfgs_plain_one": dict(lr=0.1, max_iter=1, history_size=5, line_search_fn=None),
    }
    for name, options in cases.items():
        weight = torch.tensor([[-1.2, 1.0]], dtype=torch.float64, requires_grad=True)
        bias = torch.tensor([0.5, -0.3, 0.8], dtype=torch.float64, requires_grad=True)
        goldens.put(f"{name}/initial/weight", weight.detach().clone())
        goldens.put(f"{name}/initial/bias", bias.detach().clone())
        optimizer, losses = torch.optim.LBFGS([weight, bias], **options), []

        def closure():
            optimizer.zero_grad()
            loss = rosenbrock(weight, bias)
            loss.backward()
            return loss

        for step in range(STEPS):
            losses.append(optimizer.step(closure).item())
            if step + 1 in SNAPSHOTS:
                goldens.put(f"{name}/after_{step + 1}/weight", weight.detach().clone())
                goldens.put(f"{name}/after_{step + 1}/bias", bias.detach().clone())
        goldens.put(f"{name}/losses", torch.tensor(losses, dtype=torch.float64))
        evaluations = optimizer.state[weight]["func_evals"]
        goldens.describe(name, kind="lbfgs", learning_rate=options["lr"], max_iterations=options["max_iter"], history=options["history_size"], strong_wolfe=options["line_search_fn"] is not None, evaluations=evaluations)


def averages(goldens):
    """Averages of the stored gradients, taken for weights."""
    from torch.optim import swa_utils

    for name, average in {"average_exponential": swa_utils.get_ema_multi_avg_fn(0.9), "average_equal": swa_utils.get_swa_multi_avg_fn()}.items():
        for label in DTYPES:
            model = torch.nn.Module()
            for key in SHAPES:
                model.register_parameter(key, torch.nn.Parameter(goldens.tensors[f"problem_{label}/initial/{key}"].clone()))
            averaged = swa_utils.AveragedModel(model, multi_avg_fn=average)
            for step in range(STEPS):
                with torch.no_grad():
                    for key in SHAPES:
                        getattr(model, key).copy_(goldens.tensors[f"problem_{label}/gradients/{key}"][step])
                averaged.update_parameters(model)
                if step + 1 in SNAPSHOTS:
                    for key in SHAPES:
                        goldens.put(f"{name}_{label}/after_{step + 1}/{key}", getattr(averaged.module, key).detach().clone())
            goldens.describe(f"{name}_{label}", kind="average", problem=f"problem_{label}", decay=0.9 if "exponential" in name else None)


def plateaus(goldens):
    """The learning rate after each value of a metric."""
    numbers = generator("plateau")
    falling = np.maximum(np.exp(-np.arange(60) / 8), 0.1) * (1 + 0.05 * numbers.normal(size=60))
    cases = {
        "plateau": ("min", falling, dict(factor=0.1, patience=3)),
        "plateau_absolute": ("min", falling, dict(factor=0.5, patience=1, threshold=0.01, threshold_mode="abs")),
        "plateau_cooldown": ("min", falling, dict(factor=0.5, patience=2, cooldown=4, min_lr=0.01)),
        "plateau_highest": ("max", 1 - falling, dict(factor=0.3, patience=2, threshold=1e-3)),
        "plateau_highest_absolute": ("max", 1 - falling, dict(factor=0.3, patience=0, threshold=1e-3, threshold_mode="abs", min_lr=1e-3)),
    }
    for name, (mode, values, options) in cases.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, **options)
        rates = []
        for value in values:
            scheduler.step(float(value))
            rates.append(float(optimizer.param_groups[0]["lr"]))
        goldens.put(f"{name}/values", torch.from_numpy(values))
        goldens.put(f"{name}/learning_rates", torch.tensor(rates, dtype=torch.float64))
        usual = dict(threshold=1e-4, threshold_mode="rel", cooldown=0, min_lr=0.0)
        renamed = {"min_lr": "minimum"}
        goldens.describe(name, kind="plateau", mode=mode, learning_rate=0.1, **{renamed.get(key, key): value for key, value in {**usual, **options}.items()})


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
        "cyclic": ("CyclicLR", 0.01, dict(maximum=0.1, up=8, down=8, mode="triangular", gamma=1.0), lambda o: kinds.CyclicLR(o, 0.01, 0.1, 8, cycle_momentum=False)),
        "cyclic_halving": ("CyclicLR", 0.01, dict(maximum=0.1, up=5, down=10, mode="triangular2", gamma=1.0), lambda o: kinds.CyclicLR(o, 0.01, 0.1, 5, 10, mode="triangular2", cycle_momentum=False)),
        "cyclic_exponential": ("CyclicLR", 0.01, dict(maximum=0.1, up=6, down=3, mode="exp_range", gamma=0.97), lambda o: kinds.CyclicLR(o, 0.01, 0.1, 6, 3, mode="exp_range", gamma=0.97, cycle_momentum=False)),
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
    for family in (problems, optimizers, lbfgs, averages, clipping, schedules, plateaus):
        family(goldens)
    return goldens
