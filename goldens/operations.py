"""Goldens of every operation: values, and gradients of sum(output * cotangent)."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from goldens_io import DTYPES, Goldens, assert_close, generator

NAMED_DTYPES = {short: dtype for dtype, (_, short, _) in DTYPES.items()}
INFINITY, NAN = math.inf, math.nan


class Operations(Goldens):
    def case(self, name, op, inputs, function, gradients=None, f32=False, **attributes):
        """Records `function(*inputs)`; `inputs` are tensors, `gradients` the indices to differentiate (default: all floats)."""
        if gradients is None:
            gradients = [index for index, tensor in enumerate(inputs) if tensor.is_floating_point()]
        results = self.record(name, op, inputs, function, gradients, attributes)
        if f32:
            halves = [tensor.float() if tensor.dtype == torch.float64 else tensor for tensor in inputs]
            singles = self.record(f"{name}_f32", op, halves, function, gradients, attributes, seed=name)
            for (label, single), (_, double) in zip(singles, results, strict=True):
                assert_close(f"{name}_f32/{label}", single, double)

    def record(self, name, op, inputs, function, gradients, attributes, seed=None):
        inputs = [tensor.detach().clone() for tensor in inputs]
        for index in gradients:
            inputs[index].requires_grad_(True)
        outputs = function(*inputs)
        outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
        numbers, total, results = generator((seed or name) + "/cotangent"), None, []
        differentiable = [index for index, output in enumerate(outputs) if output.requires_grad]
        for index, tensor in enumerate(inputs):
            self.put(f"{name}/input/{index}", tensor)
        for index, output in enumerate(outputs):
            self.put(f"{name}/output/{index}", output)
            results.append((f"output/{index}", output))
            if index in differentiable:
                cotangent = torch.from_numpy(np.asarray(numbers.normal(size=tuple(output.shape)))).to(output.dtype)
                self.put(f"{name}/cotangent/{index}", cotangent)
                part = (output * cotangent).sum()
                total = part if total is None else total + part
        if not differentiable:
            gradients = []
        else:
            values = torch.autograd.grad(total, [inputs[index] for index in gradients])
            for index, value in zip(gradients, values, strict=True):
                self.put(f"{name}/gradient/{index}", value)
                results.append((f"gradient/{index}", value))
        self.describe(name, op=op, gradients=gradients, inputs=len(inputs), outputs=len(outputs), **attributes)
        return results


def normal(name, *shape, scale=1.0):
    return torch.from_numpy(np.asarray(generator(name).normal(size=shape) * scale))


def uniform(name, low, high, *shape):
    return torch.from_numpy(np.asarray(generator(name).uniform(low, high, size=shape)))


def away_from_kinks(name, *shape):
    """Standard normal pushed at least 0.1 away from zero, and fractions kept off halves and integers."""
    values = generator(name).normal(size=shape) * 1.5
    values = np.sign(values) * (np.abs(values) + 0.1)
    fraction = values - np.floor(values)
    nudge = (np.abs(fraction) < 0.05) | (np.abs(fraction - 0.5) < 0.05) | (fraction > 0.95)
    return torch.from_numpy(np.asarray(values + np.where(nudge, 0.11, 0.0)))


def integers(name, low, high, *shape):
    return torch.from_numpy(np.asarray(generator(name).integers(low, high, size=shape), dtype=np.int64))


def booleans(name, *shape):
    return torch.from_numpy(np.asarray(generator(name).integers(0, 2, size=shape), dtype=bool))


def distinct(name, *shape):
    """Values with gaps, in random order: orderings and extrema do not hang on rounding."""
    count = math.prod(shape)
    return torch.from_numpy((generator(name).permutation(count) * 0.37 - 0.18 * count).reshape(shape))


def f64(values):
    return torch.tensor(values, dtype=torch.float64)


UNARY = {
    "neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "exp": torch.exp, "expm1": torch.expm1, "ln": torch.log,
    "ln1p": torch.log1p, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "recip": torch.reciprocal, "sin": torch.sin,
    "cos": torch.cos, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "erf": torch.erf, "floor": torch.floor,
    "ceil": torch.ceil, "round": torch.round, "relu": torch.relu,
}


def unary(goldens):
    for op, function in UNARY.items():
        if op in ("ln", "sqrt", "rsqrt"):
            values = uniform(op, 0.05, 4.0, 3, 5)
        elif op == "ln1p":
            values = uniform(op, -0.9, 4.0, 3, 5)
        else:
            values = away_from_kinks(op, 3, 5)
        goldens.case(f"{op}_matrix", op, [values], function, f32=True)
        goldens.case(f"{op}_scalar", op, [values[1, 2]], function)
        goldens.case(f"{op}_empty", op, [torch.empty(0, 3, dtype=torch.float64)], function)
        special = f64([-INFINITY, -1.0, -0.0, 0.0, 1.0, INFINITY, NAN])
        goldens.case(f"{op}_special", op, [special], function, gradients=[])
    # Far from zero, where a naive formula overflows or cancels.
    wide = f64([-40.0, -20.0, -9.0, -3.0, -1e-8, 1e-8, 3.0, 9.0, 20.0, 40.0])
    for op in ("expm1", "tanh", "sigmoid", "erf", "sin", "cos"):
        goldens.case(f"{op}_wide", op, [wide], UNARY[op], f32=op in ("tanh", "sigmoid", "erf"))
    goldens.case("ln1p_tiny", "ln1p", [f64([-1e-9, 1e-12, 1e-9, 1e-5, 0.5])], torch.log1p)
    # At a kink PyTorch takes 0 for abs, sign and relu; round goes half to even.
    kinks = f64([-1.0, 0.0, 0.0, 2.0])
    for op in ("abs", "sign", "relu"):
        goldens.case(f"{op}_kink", op, [kinks], UNARY[op])
    goldens.case("round_halves", "round", [f64([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5])], torch.round)
    whole = integers("unary_i64", -9, 9, 2, 4)
    for op in ("neg", "abs", "sign"):
        goldens.case(f"{op}_i64", op, [whole], UNARY[op])
    goldens.case("not_bool", "not", [booleans("not", 3, 4)], torch.logical_not)


BINARY = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "pow": torch.pow,
    "minimum": torch.minimum, "maximum": torch.maximum,
}
COMPARISONS = {
    "equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le, "greater": torch.gt,
    "greater_equal": torch.ge,
}
LOGICAL = {"logical_and": torch.logical_and, "logical_or": torch.logical_or, "logical_xor": torch.logical_xor}

BROADCASTS = {
    "same": ((3, 4), (3, 4)), "row": ((3, 4), (4,)), "column": ((3, 4), (3, 1)), "outer": ((3, 1), (1, 4)),
    "rank": ((4,), (2, 3, 4)), "scalar": ((2, 3), ()), "scalars": ((), ()), "middle": ((2, 1, 4), (3, 1)),
    "empty": ((0, 4), (1, 4)),
}


def binary(goldens):
    for op, function in BINARY.items():
        for label, (left, right) in BROADCASTS.items():
            a, b = away_from_kinks(f"{op}_{label}_a", *left), away_from_kinks(f"{op}_{label}_b", *right)
            if op == "pow":
                a = a.abs() + 0.2
            goldens.case(f"{op}_{label}", op, [a, b], function, f32=label in ("same", "middle"))
    # Equal operands: minimum and maximum give each half of the gradient.
    ties = [f64([1.0, 2.0, 3.0, -1.0]), f64([1.0, 5.0, 3.0, -2.0])]
    for op in ("minimum", "maximum"):
        goldens.case(f"{op}_ties", op, ties, BINARY[op])
        goldens.case(f"{op}_nan", op, [f64([NAN, 1.0, 2.0]), f64([0.0, NAN, 3.0])], BINARY[op], gradients=[])
    goldens.case("div_special", "div", [f64([1.0, -1.0, 0.0, INFINITY]), f64([0.0, 0.0, 0.0, INFINITY])], torch.div, gradients=[])
    goldens.case("pow_negative_base", "pow", [f64([-2.0, -1.5, -3.0, 2.0]), f64([2.0, 3.0, -1.0, 0.0])], torch.pow, gradients=[0])
    # 0^0 = 1 with gradient 0, 0^1 has gradient 1; to the exponent PyTorch gives 0 at a zero base.
    goldens.case("pow_zero_base", "pow", [f64([0.0, 0.0, 0.0, 0.0]), f64([0.0, 1.0, 2.0, 3.0])], torch.pow)
    for exponent in (-1.0, 0.5, 2.0, 3.0):
        base = uniform("pow_by_scalar", 0.3, 2.0, 2, 3)
        goldens.case(f"pow_by_{exponent:g}", "pow", [base, f64(exponent)], torch.pow, gradients=[0])
    i, j = integers("binary_i64_a", -5, 6, 3, 4), integers("binary_i64_b", -5, 6, 4)
    for op in ("add", "sub", "mul", "minimum", "maximum"):
        goldens.case(f"{op}_i64", op, [i, j], BINARY[op])
    for op, function in COMPARISONS.items():
        small = integers(f"{op}_a", 0, 3, 3, 4).double(), integers(f"{op}_b", 0, 3, 4).double()
        goldens.case(f"{op}_broadcast", op, list(small), function, gradients=[])
        goldens.case(f"{op}_i64", op, [i, j], function)
        goldens.case(f"{op}_scalar", op, [i, torch.tensor(1)], function)
        goldens.case(f"{op}_nan", op, [f64([NAN, NAN, 1.0, -0.0]), f64([NAN, 1.0, NAN, 0.0])], function, gradients=[])
    for op, function in LOGICAL.items():
        goldens.case(f"{op}_broadcast", op, [booleans(f"{op}_a", 3, 4), booleans(f"{op}_b", 3, 1)], function)
        goldens.case(f"{op}_truth_table", op, [torch.tensor([False, False, True, True]), torch.tensor([False, True, False, True])], function)


def selection(goldens):
    goldens.case("where_same", "where", [booleans("where", 3, 4), normal("where_a", 3, 4), normal("where_b", 3, 4)], torch.where, f32=True)
    goldens.case("where_broadcast", "where", [booleans("where_c", 3, 1), normal("where_d", 4), normal("where_e", 2, 1, 1)], torch.where)
    goldens.case("where_scalars", "where", [booleans("where_f", 2, 3), f64(1.5), f64(-2.5)], torch.where)
    goldens.case("where_empty", "where", [booleans("where_g", 0, 3), normal("where_h", 3), normal("where_i", 1, 3)], torch.where)
    # The side that is not chosen gets no gradient, even where it is not finite.
    goldens.case("where_infinite", "where", [torch.tensor([True, False]), f64([1.0, INFINITY]), f64([NAN, 2.0])], torch.where)

    for label, low, high in (("both", -0.5, 0.75), ("min", 0.25, None), ("max", None, 0.5)):
        goldens.case(f"clamp_{label}", "clamp", [away_from_kinks(f"clamp_{label}", 3, 5)], lambda x: torch.clamp(x, low, high), f32=True, min=low, max=high)
    # On a bound the gradient is 0, as with hardtanh; earlier PyTorch (2.7, for one) let it pass.
    goldens.case("clamp_bounds", "clamp", [f64([-2.0, -1.0, 0.0, 1.0, 2.0])], lambda x: torch.clamp(x, -1.0, 1.0), min=-1.0, max=1.0)
    goldens.case("clamp_bounds_min", "clamp", [f64([-1.0, 0.0, 1.0])], lambda x: torch.clamp(x, min=0.0), min=0.0, max=None)
    goldens.case("clamp_nan", "clamp", [f64([NAN, -INFINITY, INFINITY])], lambda x: torch.clamp(x, -1.0, 1.0), gradients=[], min=-1.0, max=1.0)
    goldens.case("clamp_empty", "clamp", [normal("clamp_empty", 2, 0)], lambda x: torch.clamp(x, -1.0, 1.0), min=-1.0, max=1.0)

    reals = f64([-3.7, -1.0, -0.5, 0.0, 0.5, 1.99, 3.25, 100.1])
    positive = f64([0.0, 0.5, 1.99, 3.25, 100.1, 255.0])
    half_way = torch.tensor([1.0, 1.00390625, 1.01171875, 2049.0, 2051.0, 65504.0, 1e-7, -0.1], dtype=torch.float32)
    for source, values, targets in (
        ("f64", reals, ("f32", "f16", "bf16", "i64", "i32", "bool")), ("f64", positive, ("u8",)),
        ("f32", half_way, ("f64", "f16", "bf16")), ("f16", half_way.half(), ("f32", "bf16")),
        ("i64", torch.tensor([-3, 0, 1, 200]), ("f64", "f32", "i32", "bool")),
        ("bool", torch.tensor([True, False, True]), ("f64", "f32", "i64", "u8")),
        ("u8", torch.tensor([0, 7, 255], dtype=torch.uint8), ("f32", "i64", "bool")),
    ):
        for target in targets:
            wide = source in ("f64", "f32") and target in ("f64", "f32")
            goldens.case(f"cast_{source}_to_{target}", "cast", [values], lambda x: x.to(NAMED_DTYPES[target]), gradients=None if wide else [], dtype=target)


def prod(x, axes, keep_dims):
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = torch.prod(x, axis, keepdim=keep_dims)
    return x


REDUCTIONS = {
    "sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin, "prod": prod, "logsumexp": torch.logsumexp,
}


def reductions(goldens):
    patterns = [((3, 4), [0]), ((3, 4), [1]), ((3, 4), [-1]), ((3, 4), [0, 1]), ((2, 3, 4), [1]), ((2, 3, 4), [0, 2]), ((2, 3, 4), [-1, -2]), ((5,), [0])]
    for op, function in REDUCTIONS.items():
        for shape, axes in patterns:
            for keep_dims in (False, True):
                label = f"{op}_rank{len(shape)}_axes_{'_'.join(map(str, axes)).replace('-', 'm')}{'_keep' if keep_dims else ''}"
                values = distinct(op, *shape) if op in ("max", "min") else away_from_kinks(op, *shape)
                goldens.case(label, op, [values], lambda x: function(x, axes, keep_dims), f32=axes == [0, 2], axes=axes, keep_dims=keep_dims)
        if op in ("sum", "prod"):
            goldens.case(f"{op}_over_empty", op, [normal(op, 3, 0)], lambda x: function(x, [1], False), axes=[1], keep_dims=False)
        if op == "mean":
            goldens.case("mean_over_empty", op, [normal(op, 3, 0)], lambda x: function(x, [1], False), gradients=[], axes=[1], keep_dims=False)
        goldens.case(f"{op}_of_empty", op, [normal(op, 0, 3)], lambda x: function(x, [1], False), axes=[1], keep_dims=False)
        goldens.case(f"{op}_size_one", op, [normal(op, 3, 1)], lambda x: function(x, [1], False), axes=[1], keep_dims=False)

    # Ties: amax and amin divide the gradient evenly among the equal elements.
    ties = f64([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -1.0, -2.0, -2.0]])
    for op in ("max", "min"):
        for label, axes in (("last", [1]), ("all", [0, 1])):
            goldens.case(f"{op}_ties_{label}", op, [ties], lambda x: REDUCTIONS[op](x, axes, False), axes=axes, keep_dims=False)
        goldens.case(f"{op}_nan", op, [f64([[1.0, NAN, 3.0], [1.0, 2.0, 3.0]])], lambda x: REDUCTIONS[op](x, [1], False), gradients=[], axes=[1], keep_dims=False)
    # One zero in a row leaves a gradient at the zero alone, two leave none: no division by the element.
    zeros = f64([[2.0, 0.0, 3.0], [0.0, 0.0, 4.0], [1.5, -2.0, 3.0]])
    goldens.case("prod_zeros", "prod", [zeros], lambda x: prod(x, [1], False), axes=[1], keep_dims=False)
    large = f64([[1000.0, 1000.5, 999.0], [-1000.0, -1001.0, -999.5], [1e4, -1e4, 0.0], [-INFINITY, 0.0, 1.0]])
    goldens.case("logsumexp_large", "logsumexp", [large], lambda x: torch.logsumexp(x, [1]), axes=[1], keep_dims=False)

    whole = integers("reduce_i64", -4, 5, 3, 4)
    for op in ("sum", "prod", "max", "min"):
        goldens.case(f"{op}_i64", op, [whole], lambda x: REDUCTIONS[op](x, [1], False), axes=[1], keep_dims=False)

    for shape, axes in patterns:
        for correction in (0, 1):
            for keep_dims in (False, True):
                label = f"var_rank{len(shape)}_axes_{'_'.join(map(str, axes)).replace('-', 'm')}_correction_{correction}{'_keep' if keep_dims else ''}"
                goldens.case(label, "var", [normal("var", *shape)], lambda x: torch.var(x, axes, correction=correction, keepdim=keep_dims),
                             f32=axes == [0, 2], axes=axes, correction=correction, keep_dims=keep_dims)
    # A mean far above the spread: sum of squares minus square of the sum would lose every digit.
    goldens.case("var_offset", "var", [normal("var_offset", 3, 6) + 1e6], lambda x: torch.var(x, [1], correction=1), axes=[1], correction=1, keep_dims=False)

    for op, function in (("argmax", torch.argmax), ("argmin", torch.argmin)):
        for shape, axis in (((3, 4), 0), ((3, 4), 1), ((2, 3, 4), -2), ((5,), 0)):
            for keep_dims in (False, True):
                label = f"{op}_rank{len(shape)}_axis_{str(axis).replace('-', 'm')}{'_keep' if keep_dims else ''}"
                goldens.case(label, op, [distinct(op, *shape)], lambda x: function(x, axis, keepdim=keep_dims), gradients=[], axis=axis, keep_dims=keep_dims)
        goldens.case(f"{op}_ties", op, [ties], lambda x: function(x, 1), gradients=[], axis=1, keep_dims=False)  # the first of equals
        goldens.case(f"{op}_i64", op, [whole], lambda x: function(x, 1), axis=1, keep_dims=False)
        goldens.case(f"{op}_of_empty", op, [normal(op, 0, 3)], lambda x: function(x, 1), gradients=[], axis=1, keep_dims=False)

    for shape, axis in (((5,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 3, 4), -2), ((2, 0), 1), ((3, 1), 1)):
        label = f"cumsum_{'x'.join(map(str, shape))}_axis_{str(axis).replace('-', 'm')}"
        goldens.case(label, "cumsum", [normal("cumsum", *shape)], lambda x: torch.cumsum(x, axis), f32=len(shape) == 3, axis=axis)
    goldens.case("cumsum_i64", "cumsum", [whole], lambda x: torch.cumsum(x, 1), axis=1)


def matmul(goldens):
    for label, left, right in (
        ("matrix", (3, 4), (4, 5)), ("row_column", (1, 4), (4, 1)), ("outer", (3, 1), (1, 4)), ("batched", (2, 3, 4), (2, 4, 5)),
        ("broadcast_left", (3, 4), (2, 4, 5)), ("broadcast_right", (2, 3, 4), (4, 5)), ("broadcast_both", (2, 1, 3, 4), (5, 4, 2)),
        ("dot", (4,), (4,)), ("matrix_vector", (3, 4), (4,)), ("vector_matrix", (4,), (4, 5)), ("batched_vector", (2, 3, 4), (4,)),
        ("empty_inner", (3, 0), (0, 4)), ("empty_rows", (0, 3), (3, 4)), ("empty_batch", (0, 2, 3), (3, 4)), ("larger", (17, 33), (33, 9)),
    ):
        a, b = normal(f"matmul_{label}_a", *left), normal(f"matmul_{label}_b", *right)
        goldens.case(f"matmul_{label}", "matmul", [a, b], torch.matmul, f32=label in ("matrix", "broadcast_both", "larger"))


def movement(goldens):
    def move(label, op, source, function, /, **attributes):
        goldens.case(f"{op}_{label}", op, [normal(f"{op}_{label}", *source)], function, **attributes)

    for label, source, target in (("split", (6, 4), [2, 3, 4]), ("merge", (2, 3, 4), [6, 4]), ("flatten", (2, 3), [-1]), ("infer", (2, 6), [3, -1, 2]),
                                  ("to_scalar", (1, 1), []), ("from_scalar", (), [1, 1]), ("empty", (0, 4), [2, 0])):
        move(label, "reshape", source, lambda x: x.reshape(target), shape=target)
    for label, source, axes in (("transpose", (3, 4), [1, 0]), ("cycle", (2, 3, 4), [2, 0, 1]), ("negative", (2, 3, 4), [-1, 0, -2]), ("scalar", (), []), ("empty", (2, 0, 3), [1, 2, 0])):
        move(label, "permute", source, lambda x: x.permute(axes), axes=axes)
    for label, source, target in (("column", (3, 1), [3, 4]), ("rank", (4,), [2, 3, 4]), ("scalar", (), [2, 3]), ("middle", (2, 1, 3), [2, 4, 3]), ("to_empty", (1, 3), [0, 3])):
        move(label, "expand", source, lambda x: x.expand(target), shape=target)
    for label, source, starts, ends, steps in (
        ("range", (5, 6), [1, 2], [4, 5], [1, 1]), ("step", (7, 6), [0, 1], [7, 6], [3, 2]), ("one", (4,), [2], [3], [1]),
        ("empty", (4, 3), [2, 0], [2, 3], [1, 1]), ("rank3", (3, 4, 5), [0, 1, 4], [3, 4, 5], [2, 1, 3]),
    ):
        move(label, "slice", source, lambda x: x[tuple(slice(*bounds) for bounds in zip(starts, ends, steps))], starts=starts, ends=ends, steps=steps)
    for label, source, before, after, value in (
        ("zero", (2, 3), [1, 0], [0, 2], 0.0), ("value", (2, 3), [1, 2], [3, 1], -1.5), ("rank3", (2, 2, 2), [0, 1, 0], [1, 0, 2], 0.5),
        ("nothing", (2, 2), [0, 0], [0, 0], 9.0), ("empty", (0, 2), [2, 0], [1, 1], 3.0),
    ):
        pairs = [amount for pair in reversed(list(zip(before, after))) for amount in pair]
        move(label, "pad", source, lambda x: F.pad(x, pairs, value=value), before=before, after=after, value=value)
    for label, source, axes in (("first", (3, 4), [0]), ("last", (3, 4), [-1]), ("both", (2, 3, 4), [0, 2]), ("empty", (0, 3), [0])):
        move(label, "flip", source, lambda x: torch.flip(x, axes), axes=axes)
    for label, source, axes in (("one", (3, 1), [1]), ("two", (1, 3, 1), [0, 2]), ("negative", (2, 1, 3), [-2]), ("to_scalar", (1,), [0])):
        move(label, "squeeze", source, lambda x: torch.squeeze(x, tuple(axes)), axes=axes)
    for label, source, axis in (("front", (3, 4), 0), ("middle", (3, 4), 1), ("negative", (3, 4), -1), ("scalar", (), 0)):
        move(label, "unsqueeze", source, lambda x: torch.unsqueeze(x, axis), axis=axis)
    for label, shapes, axis in (("rows", ((2, 3), (1, 3), (4, 3)), 0), ("columns", ((2, 3), (2, 2)), 1), ("negative", ((2, 2, 1), (2, 2, 3)), -1),
                                ("single", ((2, 3),), 0), ("with_empty", ((2, 3), (0, 3), (1, 3)), 0)):
        goldens.case(f"concat_{label}", "concat", [normal(f"concat_{label}_{i}", *shape) for i, shape in enumerate(shapes)], lambda *parts: torch.cat(parts, axis), axis=axis)
    for label, shape, count, axis in (("first", (2, 3), 3, 0), ("middle", (2, 3), 2, 1), ("negative", (2, 3), 2, -1), ("scalars", (), 4, 0)):
        goldens.case(f"stack_{label}", "stack", [normal(f"stack_{label}_{i}", *shape) for i in range(count)], lambda *parts: torch.stack(parts, axis), axis=axis)
    for label, shape, sizes, axis in (("rows", (5, 3), [2, 3], 0), ("columns", (2, 6), [1, 2, 3], -1), ("empty_part", (3, 2), [0, 3], 0), ("single", (3,), [3], 0)):
        move(label, "split", shape, lambda x: torch.split(x, sizes, axis), sizes=sizes, axis=axis)
    # Moving works for every dtype.
    goldens.case("permute_i64", "permute", [integers("permute_i64", 0, 9, 2, 3)], lambda x: x.permute(1, 0), axes=[1, 0])
    goldens.case("flip_bool", "flip", [booleans("flip_bool", 2, 3)], lambda x: torch.flip(x, [1]), axes=[1])
    goldens.case("concat_u8", "concat", [torch.arange(3, dtype=torch.uint8), torch.arange(2, dtype=torch.uint8)], lambda *parts: torch.cat(parts), axis=0)


def indexing(goldens):
    for label, shape, index_shape, axis in (("rows", (5, 3), (4, 3), 0), ("columns", (3, 5), (3, 2), 1), ("negative", (2, 3, 4), (2, 3, 6), -1), ("narrower", (4, 4), (2, 3), 0), ("empty", (3, 4), (0, 4), 0)):
        index = integers(f"gather_{label}", 0, shape[axis], *index_shape)
        goldens.case(f"gather_{label}", "gather", [normal(f"gather_{label}_x", *shape), index], lambda x, i: torch.gather(x, axis, i), f32=label == "rows", axis=axis)
        source = normal(f"scatter_add_{label}_source", *index_shape)
        goldens.case(f"scatter_add_{label}", "scatter_add", [normal(f"scatter_add_{label}_x", *shape), index, source],
                     lambda x, i, s: torch.scatter_add(x, axis, i, s), f32=label == "rows", axis=axis)
    same = torch.zeros(4, 2, dtype=torch.int64)
    goldens.case("scatter_add_collisions", "scatter_add", [normal("collisions", 3, 2), same, normal("collisions_source", 4, 2)], lambda x, i, s: torch.scatter_add(x, 0, i, s), axis=0)
    for label, shape, index, axis in (("rows", (4, 3), [3, 0, 0, 2, 3], 0), ("columns", (3, 4), [1, 1], 1), ("negative", (2, 3, 4), [2, 0], -2), ("empty", (3, 2), [], 0), ("vector", (5,), [4, 4, 1], 0)):
        goldens.case(f"index_select_{label}", "index_select", [normal(f"index_select_{label}", *shape), torch.tensor(index, dtype=torch.int64)],
                     lambda x, i: torch.index_select(x, axis, i), f32=label == "rows", axis=axis)
    for label, index, classes in (("vector", [0, 2, 1, 2], 3), ("wide", [[1, 0], [4, 1]], 6), ("scalar", 2, 4), ("empty", [], 3)):
        goldens.case(f"one_hot_{label}", "one_hot", [torch.tensor(index, dtype=torch.int64)], lambda i: F.one_hot(i, classes), classes=classes)

    repeated = f64([[3.0, 1.0, 3.0, 2.0, 1.0], [0.0, 0.0, -1.0, 5.0, 5.0]])
    for descending in (False, True):
        suffix = "descending" if descending else "ascending"

        def ordered(x, axis):
            return torch.sort(x, dim=axis, descending=descending, stable=True)

        for label, values, axis in (("rows", distinct("sort", 4, 3), 0), ("columns", distinct("sort", 3, 5), 1), ("negative", distinct("sort", 2, 3, 4), -2),
                                    ("ties", repeated, 1), ("empty", normal("sort", 0, 3), 1), ("one", normal("sort", 3, 1), 1)):
            goldens.case(f"sort_{label}_{suffix}", "sort", [values], lambda x: ordered(x, axis), axis=axis, descending=descending)
        goldens.case(f"sort_i64_{suffix}", "sort", [integers("sort_i64", 0, 5, 2, 6)], lambda x: ordered(x, 1), axis=1, descending=descending)
        nans = f64([2.0, NAN, -INFINITY, INFINITY, 0.0])  # NaN counts as the greatest
        goldens.case(f"sort_nan_{suffix}", "sort", [nans], lambda x: ordered(x, 0), gradients=[], axis=0, descending=descending)
    for largest in (True, False):
        suffix = "largest" if largest else "smallest"
        for label, shape, k, axis in (("rows", (5, 3), 2, 0), ("columns", (3, 6), 3, 1), ("negative", (2, 5, 3), 2, -2), ("all", (4,), 4, 0), ("none", (4,), 0, 0)):
            goldens.case(f"top_k_{label}_{suffix}", "top_k", [distinct(f"top_k_{label}", *shape)], lambda x: torch.topk(x, k, dim=axis, largest=largest, sorted=True),
                         k=k, axis=axis, largest=largest)


def creation(goldens):
    for label, start, end, step, dtype in (("whole", 0, 5, 1, "i64"), ("step", 2, 11, 3, "i64"), ("down", 5, -1, -2, "i64"), ("reals", 0.0, 1.0, 0.25, "f64"), ("uneven", -1.0, 1.0, 0.3, "f64"),
                                           ("single", 1.0, 4.0, 0.5, "f32"), ("empty", 3, 3, 1, "i64")):
        goldens.case(f"arange_{label}", "arange", [], lambda: torch.arange(start, end, step, dtype=NAMED_DTYPES[dtype]), start=start, end=end, step=step, dtype=dtype)
    for label, shape, value, dtype in (("matrix", [2, 3], 1.5, "f64"), ("scalar", [], -2.0, "f32"), ("whole", [3], 7, "i64"), ("truth", [2], True, "bool"), ("empty", [0, 2], 1.0, "f64"), ("half", [2], 0.1, "f16")):
        goldens.case(f"full_{label}", "full", [], lambda: torch.full(shape, value, dtype=NAMED_DTYPES[dtype]), shape=shape, value=value, dtype=dtype)
    for label, rows, columns, dtype in (("square", 3, 3, "f64"), ("wide", 2, 4, "f32"), ("tall", 4, 2, "i64"), ("empty", 0, 3, "f64")):
        goldens.case(f"eye_{label}", "eye", [], lambda: torch.eye(rows, columns, dtype=NAMED_DTYPES[dtype]), rows=rows, columns=columns, dtype=dtype)


ACTIVATIONS = {
    "none": lambda x: x, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu,
}


def composites(goldens):
    for activation, function in ACTIVATIONS.items():
        x, weight, bias = normal(f"linear_{activation}", 5, 4), normal(f"linear_weight_{activation}", 3, 4), normal(f"linear_bias_{activation}", 3)
        goldens.case(f"linear_{activation}", "linear", [x, weight, bias], lambda x, w, b: function(F.linear(x, w, b)), f32=True, activation=activation, bias=True)
        goldens.case(f"linear_{activation}_no_bias", "linear", [x, weight], lambda x, w: function(F.linear(x, w)), activation=activation, bias=False)
    for label, shape in (("vector", (4,)), ("batched", (2, 3, 4)), ("empty", (0, 4))):
        goldens.case(f"linear_{label}", "linear", [normal(f"linear_x_{label}", *shape), normal("linear_w", 3, 4), normal("linear_b", 3)], F.linear, activation="none", bias=True)

    for op, function in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
        for shape, axis in (((3, 5), 0), ((3, 5), 1), ((2, 3, 4), -2), ((2, 3, 4), -1), ((6,), 0), ((3, 1), 1), ((0, 3), 1)):
            label = f"{op}_{'x'.join(map(str, shape))}_axis_{str(axis).replace('-', 'm')}"
            goldens.case(label, op, [normal(op, *shape, scale=2.0)], lambda x: function(x, dim=axis), f32=shape == (2, 3, 4), axis=axis)
        large = f64([[1000.0, 1001.0, 999.0], [-1e4, 0.0, 1e4], [-INFINITY, 0.0, 1.0]])
        goldens.case(f"{op}_large", op, [large[:2]], lambda x: function(x, dim=1), axis=1)
        goldens.case(f"{op}_masked", op, [large[2:]], lambda x: function(x, dim=1), gradients=[], axis=1)

    cross_entropies(goldens)
    for reduction in ("mean", "sum", "none"):
        logits, target = normal(f"bce_{reduction}", 4, 3, scale=2.0), uniform(f"bce_target_{reduction}", 0.0, 1.0, 4, 3).round()
        weight, pos_weight = uniform("bce_weight", 0.3, 2.0, 4, 3), uniform("bce_pos_weight", 0.5, 3.0, 3)
        for label, extras in (("", []), ("_weight", ["weight"]), ("_pos_weight", ["pos_weight"]), ("_both", ["weight", "pos_weight"])):
            inputs = [logits, target] + [{"weight": weight, "pos_weight": pos_weight}[extra] for extra in extras]
            goldens.case(f"bce_with_logits_{reduction}{label}", "bce_with_logits", inputs,
                         lambda x, t, *rest: F.binary_cross_entropy_with_logits(x, t, reduction=reduction, **dict(zip(extras, rest))),
                         gradients=[0], f32=label in ("", "_both"), reduction=reduction, weight="weight" in extras, pos_weight="pos_weight" in extras)
    soft = [f64([-800.0, -30.0, 0.0, 30.0, 800.0]), f64([0.0, 0.2, 0.5, 0.9, 1.0])]
    goldens.case("bce_with_logits_large", "bce_with_logits", soft, lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="none"), gradients=[0], reduction="none", weight=False, pos_weight=False)

    for label, shape, axes in (("last", (4, 6), [-1]), ("rank3", (2, 3, 5), [-1]), ("two_axes", (2, 3, 4), [-2, -1]), ("empty", (0, 4), [-1])):
        x, normalised = normal(f"layer_norm_{label}", *shape) * 2.0 + 1.0, shape[len(shape) - len(axes):]
        weight, bias = normal(f"layer_norm_weight_{label}", *normalised), normal(f"layer_norm_bias_{label}", *normalised)
        for epsilon in (1e-5, 1e-2):
            suffix = "" if epsilon == 1e-5 else "_wide_epsilon"
            goldens.case(f"layer_norm_{label}{suffix}", "layer_norm", [x], lambda x: F.layer_norm(x, normalised, eps=epsilon), f32=label == "rank3", axes=axes, epsilon=epsilon, affine=False)
            goldens.case(f"layer_norm_{label}_affine{suffix}", "layer_norm", [x, weight, bias], lambda x, w, b: F.layer_norm(x, normalised, w, b, epsilon), f32=label == "rank3", axes=axes, epsilon=epsilon, affine=True)

    for op, function, attributes in (("gelu", F.gelu, {"approximate": "none"}), ("gelu", ACTIVATIONS["gelu_tanh"], {"approximate": "tanh"}), ("silu", F.silu, {})):
        name = "gelu_tanh" if attributes.get("approximate") == "tanh" else op
        goldens.case(f"{name}_matrix", op, [normal(name, 3, 5, scale=2.0)], function, f32=True, **attributes)
        goldens.case(f"{name}_wide", op, [f64([-30.0, -8.0, -3.0, -1e-6, 0.0, 1e-6, 3.0, 8.0, 30.0])], function, **attributes)
        goldens.case(f"{name}_empty", op, [normal(name, 2, 0)], function, **attributes)


def cross_entropies(goldens):
    def case(label, logits, target, weight=None, reduction="mean", label_smoothing=0.0, ignore_index=None, f32=False, gradients=None):
        probabilities = target.is_floating_point()
        if gradients is None:
            gradients = [0, 1] if probabilities else [0]
        inputs = [logits, target] + ([] if weight is None else [weight])
        goldens.case(f"cross_entropy_{label}", "cross_entropy", inputs,
                     lambda x, t, *w: F.cross_entropy(x, t, *w, reduction=reduction, label_smoothing=label_smoothing, ignore_index=-100 if ignore_index is None else ignore_index),
                     gradients=gradients, f32=f32, target="probabilities" if probabilities else "classes", reduction=reduction, label_smoothing=label_smoothing,
                     ignore_index=ignore_index, weight=weight is not None)

    weight = uniform("cross_entropy_weight", 0.3, 2.0, 4)
    for reduction in ("mean", "sum", "none"):
        logits, classes = normal(f"cross_entropy_{reduction}", 6, 4, scale=2.0), integers(f"cross_entropy_{reduction}", 0, 4, 6)
        masked = classes.clone()
        masked[[1, 4]] = -100
        soft = torch.softmax(normal(f"cross_entropy_soft_{reduction}", 6, 4), 1)
        case(f"classes_{reduction}", logits, classes, reduction=reduction, f32=True)
        case(f"classes_{reduction}_smoothing", logits, classes, reduction=reduction, label_smoothing=0.1)
        case(f"classes_{reduction}_weight", logits, classes, weight, reduction)
        case(f"classes_{reduction}_ignore", logits, masked, reduction=reduction, ignore_index=-100)
        case(f"classes_{reduction}_ignore_class_2", logits, classes, reduction=reduction, ignore_index=2)
        case(f"classes_{reduction}_all", logits, masked, weight, reduction, 0.2, -100, f32=True)
        case(f"probabilities_{reduction}", logits, soft, reduction=reduction, f32=True)
        case(f"probabilities_{reduction}_smoothing", logits, soft, reduction=reduction, label_smoothing=0.1)
        case(f"probabilities_{reduction}_weight", logits, soft, weight, reduction)
        case(f"probabilities_{reduction}_all", logits, soft, weight, reduction, 0.2)
        # Classes on axis 1, as PyTorch has it for images and sequences.
        case(f"classes_{reduction}_rank3", normal("cross_entropy_rank3", 2, 4, 3), integers("cross_entropy_rank3", 0, 4, 2, 3), reduction=reduction)
    case("classes_large", f64([[1000.0, 0.0, -1000.0], [0.0, 1e4, 0.0]]), torch.tensor([2, 1]))
    case("classes_sum_empty", normal("cross_entropy_empty", 0, 3), integers("cross_entropy_empty", 0, 3, 0), reduction="sum")
    # Everything ignored: the mean divides nought by nought.
    case("classes_mean_nothing_left", normal("cross_entropy_nothing", 2, 3), torch.tensor([-100, -100]), ignore_index=-100, gradients=[])
    case("classes_sum_nothing_left", normal("cross_entropy_nothing", 2, 3), torch.tensor([-100, -100]), reduction="sum", ignore_index=-100)


def make():
    goldens = Operations()
    for family in (unary, binary, selection, reductions, matmul, movement, indexing, creation, composites):
        family(goldens)
    return goldens
