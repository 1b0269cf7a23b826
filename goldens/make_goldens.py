"""Computes osnova's golden values with PyTorch; see README.md beside this file.

python goldens/make_goldens.py           writes the files
python goldens/make_goldens.py --check   writes them elsewhere and compares byte by byte
"""

import os

# One code path of PyTorch on every x86-64 machine: otherwise the last bits follow the processor.
os.environ.setdefault("ATEN_CPU_CAPABILITY", "default")
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import argparse
import sys
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True


def make(folder):
    import documents
    import generative
    import layers
    import operations
    import optimizers
    import pytorch_mlp

    operations.make().write(folder / "operations.safetensors")
    layers.make().write(folder / "layers.safetensors")
    optimizers.make().write(folder / "optimizers.safetensors")
    generative.make().write(folder / "generative.safetensors")
    pytorch_mlp.write(folder)
    documents.initialisers(folder / "initialisers.json")
    documents.random(folder / "random.json")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files here instead of replacing them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if not arguments.check:
        make(HERE)
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        made = sorted(Path(folder).iterdir())
        different = [path.name for path in made if not (HERE / path.name).exists() or path.read_bytes() != (HERE / path.name).read_bytes()]
    if different:
        sys.exit("these differ from a fresh run: " + ", ".join(different))
    print(f"{len(made)} files are as a fresh run makes them")


if __name__ == "__main__":
    main()
