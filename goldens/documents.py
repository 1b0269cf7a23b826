"""The JSON goldens: initialisers (formulas with PyTorch's gains) and Philox 4x32-10 known answers."""

import json
import math

import numpy as np
import torch


def write(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


def initialisers(path):
    gains = {
        "linear": torch.nn.init.calculate_gain("linear"), "sigmoid": torch.nn.init.calculate_gain("sigmoid"), "tanh": torch.nn.init.calculate_gain("tanh"),
        "relu": torch.nn.init.calculate_gain("relu"), "leaky_relu_0.01": torch.nn.init.calculate_gain("leaky_relu", 0.01),
        "leaky_relu_0.2": torch.nn.init.calculate_gain("leaky_relu", 0.2), "selu": torch.nn.init.calculate_gain("selu"),
    }
    cases = []
    for fan_in, fan_out in ((784, 256), (256, 128), (128, 10), (64, 32), (3, 5), (1, 1)):
        assert torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(fan_out, fan_in)) == (fan_in, fan_out)
        for name, gain in gains.items():
            xavier = gain * math.sqrt(2.0 / (fan_in + fan_out))
            for initialiser, std, fan in (
                ("xavier_normal", xavier, None), ("xavier_uniform", xavier, None), ("he_normal", gain / math.sqrt(fan_in), "fan_in"), ("he_uniform", gain / math.sqrt(fan_in), "fan_in"),
                ("he_normal", gain / math.sqrt(fan_out), "fan_out"), ("he_uniform", gain / math.sqrt(fan_out), "fan_out"),
            ):
                case = {"initialiser": initialiser, "fan_in": fan_in, "fan_out": fan_out, "nonlinearity": name, "gain": gain, "std": std}
                if fan:
                    case["mode"] = fan
                if initialiser.endswith("uniform"):
                    case["bound"] = math.sqrt(3.0) * std
                cases.append(case)
        lecun = 1.0 / math.sqrt(fan_in)
        cases.append({"initialiser": "lecun_normal", "fan_in": fan_in, "fan_out": fan_out, "gain": 1.0, "std": lecun})
        cases.append({"initialiser": "lecun_uniform", "fan_in": fan_in, "fan_out": fan_out, "gain": 1.0, "std": lecun, "bound": math.sqrt(3.0) * lecun})
        # What torch.nn.Linear does: kaiming_uniform_(a = sqrt 5), which is 1 / sqrt(fan_in); the bias has the same bound.
        bound = 1.0 / math.sqrt(fan_in)
        cases.append({"initialiser": "pytorch_linear", "fan_in": fan_in, "fan_out": fan_out, "gain": torch.nn.init.calculate_gain("leaky_relu", math.sqrt(5)), "std": bound / math.sqrt(3.0), "bound": bound})
    check_by_sampling(cases)
    write(path, {"gains": gains, "cases": cases})


def check_by_sampling(cases):
    """The formulas are PyTorch's: its own initialisers keep to them."""
    torch.manual_seed(0)
    for case in cases:
        if case["fan_in"] * case["fan_out"] < 10_000 or case.get("nonlinearity") == "selu" and case["initialiser"].startswith("he"):
            continue
        weight = torch.empty(case["fan_out"], case["fan_in"], dtype=torch.float64)
        kind, nonlinearity = case["initialiser"], case.get("nonlinearity", "linear")
        if kind.startswith("xavier"):
            getattr(torch.nn.init, f"{kind}_")(weight, gain=case["gain"])
        elif kind.startswith("he"):
            slope = float(nonlinearity.rsplit("_", 1)[1]) if nonlinearity.startswith("leaky") else 0
            getattr(torch.nn.init, f"kaiming_{kind[3:]}_")(weight, a=slope, mode=case["mode"], nonlinearity="leaky_relu" if slope else nonlinearity)
        elif kind == "pytorch_linear":
            weight = torch.nn.Linear(case["fan_in"], case["fan_out"]).weight.detach()
        else:
            continue
        assert abs(weight.std().item() / case["std"] - 1) < 0.02, case
        if "bound" in case:
            assert 0.99 * case["bound"] < weight.abs().max().item() <= case["bound"] * (1 + 1e-6), case


# Known answers published with Random123 (tests/kat_vectors): counter, key, output.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def philox_4x32_10(counter, key):
    """Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        left, right = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (right >> 32) ^ c1 ^ k0, right & 0xFFFFFFFF, (left >> 32) ^ c3 ^ k1, left & 0xFFFFFFFF
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def random(path):
    def words(text):
        return [int(word, 16) for word in text.split()]

    def text(numbers):
        return [f"{number:08x}" for number in numbers]

    published = []
    for counter, key, output in KNOWN_ANSWERS:
        assert philox_4x32_10(words(counter), words(key)) == words(output)
        published.append({"counter": counter.split(), "key": key.split(), "output": output.split()})
    # More by the implementation above: consecutive counters, carries between words, seeds split into key words (low word first).
    computed = []
    numbers = np.random.Generator(np.random.PCG64(2011))
    cases = [([block, 0, 0, 0], [42, 0]) for block in range(4)]
    cases += [([0xFFFFFFFF, 0, 0, 0], [1, 0]), ([0, 1, 0, 0], [1, 0]), ([0xFFFFFFFF, 0xFFFFFFFF, 0, 0], [1, 0]), ([0, 0, 1, 0], [1, 0]), ([0, 0, 0, 1], [0xDEADBEEF, 0x12345678])]
    cases += [([int(word) for word in numbers.integers(0, 2**32, 4)], [int(word) for word in numbers.integers(0, 2**32, 2)]) for _ in range(16)]
    for counter, key in cases:
        computed.append({"counter": text(counter), "key": text(key), "output": text(philox_4x32_10(counter, key))})
    write(path, {"generator": "Philox 4x32-10", "words": "hexadecimal, word 0 first", "published": published, "computed": computed})
