"""What every golden shares: seeded inputs, a case writer, and a safetensors writer with stable bytes.

`safetensors.torch.save_file` stores its metadata in an unordered map, so that two runs differ; the writer
below follows the same format with sorted keys, and `write` reads the file back with the library to prove it.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

DTYPES = {  # torch dtype: (safetensors name, name in the metadata, bytes an element)
    torch.float64: ("F64", "f64", 8),
    torch.float32: ("F32", "f32", 4),
    torch.float16: ("F16", "f16", 2),
    torch.bfloat16: ("BF16", "bf16", 2),
    torch.int64: ("I64", "i64", 8),
    torch.int32: ("I32", "i32", 4),
    torch.uint8: ("U8", "u8", 1),
    torch.bool: ("BOOL", "bool", 1),
}


def generator(name):
    """Random numbers of one case: seeded by its name, so that adding a case changes no other."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def tensor_bytes(tensor):
    tensor = tensor.detach().contiguous()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.view(torch.int16)
    return tensor.numpy().tobytes()


def serialise(tensors, metadata):
    """Bytes of a safetensors file: widest elements first (so that all are aligned), then by name."""
    order = sorted(tensors, key=lambda name: (-DTYPES[tensors[name].dtype][2], name))
    header = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    body, offset = [], 0
    for name in order:
        data = tensor_bytes(tensors[name])
        header[name] = {
            "dtype": DTYPES[tensors[name].dtype][0],
            "shape": list(tensors[name].shape),
            "data_offsets": [offset, offset + len(data)],
        }
        body.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(body)


def verify(path, tensors, metadata):
    with safe_open(path, framework="pt") as file:
        assert (file.metadata() or {}) == metadata, path
        assert set(file.keys()) == set(tensors), path
        for name, expected in tensors.items():
            found = file.get_tensor(name)
            assert found.dtype == expected.dtype and found.shape == expected.shape, name
            assert tensor_bytes(found) == tensor_bytes(expected), name


class Goldens:
    """The tensors and metadata of one file under construction."""

    def __init__(self):
        self.tensors = {}
        self.metadata = {}

    def describe(self, case, **attributes):
        assert case not in self.metadata, f"two cases are called {case}"
        self.metadata[case] = json.dumps(attributes, allow_nan=False, sort_keys=True, separators=(",", ":"))

    def put(self, name, tensor):
        assert name not in self.tensors, f"two tensors are called {name}"
        self.tensors[name] = tensor.detach().clone().contiguous()

    def write(self, path):
        path = Path(path)
        path.write_bytes(serialise(self.tensors, self.metadata))
        verify(path, self.tensors, self.metadata)
        print(f"{path.name}: {len(self.metadata)} cases, {len(self.tensors)} tensors, {path.stat().st_size} bytes")


def assert_close(name, single, double):
    """A float32 golden is worth keeping only where float32 itself meets the tests' tolerance."""
    if double.numel() == 0:
        return
    single, double = single.detach().double(), double.detach().double()
    finite = double.isfinite()
    assert torch.equal(finite, single.isfinite()), name
    if finite.any():
        scale = max(double[finite].abs().max().item(), 1e-30)
        error = (single[finite] - double[finite]).abs().max().item() / scale
        assert error < 5e-6, f"{name}: float32 is off by {error}"
