"""What PyTorch does on CUDA with the workloads of benches/src/device.rs: one line `name seconds` for each.

    python benches/peers/torch_cuda_bench.py [--largest 8192] [--workloads add,matmul_f32_4096] [--device cuda]

Usually run by `cargo xtask bench --device vulkan --python PATH`, which puts both into one table. Timed in the same way:
the median over rounds of so many steps that waiting for the device counts little. f32 products are computed in f32:
TF32 is off.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

FEWEST = 1 << 18
COLUMNS = 4096
SQUARES = [64, 128, 256, 512, 1024, 2048, 4096, 8192]
FEED_FORWARD = (4096, 512, 14336)
DTYPES = {"f32": torch.float32, "f16": torch.float16}


def memory_bound(count, device):
    """Steps on tensors of `count` f32; each is made when it is asked for."""

    def rows():
        return torch.randn(count // COLUMNS, COLUMNS, device=device)

    def two():
        return torch.randn(count, device=device), torch.randn(count, device=device)

    def on_rows(work):
        def prepare():
            x = rows()
            return lambda: work(x)

        return prepare

    def on_two(work):
        def prepare():
            x, y = two()
            return lambda: work(x, y)

        return prepare

    return {
        "copy": on_two(lambda x, y: torch.cat([x, y])),
        "add": on_two(lambda x, y: x + y),
        "gelu": on_rows(lambda x: F.gelu(x, approximate="tanh")),
        "sum_rows": on_rows(lambda x: x.sum(1)),
        "sum_columns": on_rows(lambda x: x.sum(0)),
        "sum_all": on_rows(lambda x: x.sum()),
        "softmax": on_rows(lambda x: x.softmax(-1)),
    }


def matmul(m, n, k, dtype, device):
    def prepare():
        a = torch.randn(m, k, device=device).to(dtype)
        b = torch.randn(k, n, device=device).to(dtype)
        return lambda: a @ b

    return prepare


def mlp_step(batch, device):
    def prepare():
        model = torch.nn.Sequential(
            torch.nn.Linear(784, 256),
            torch.nn.ReLU(),
            torch.nn.Linear(256, 128),
            torch.nn.ReLU(),
            torch.nn.Linear(128, 10),
        ).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=torch.device(device).type == "cuda")
        x = torch.rand(batch, 784, device=device)
        target = torch.randint(0, 10, (batch,), device=device)

        def step():
            optimizer.zero_grad()
            F.cross_entropy(model(x), target).backward()
            optimizer.step()

        return step

    return prepare


def workloads(largest, device):
    every = memory_bound(max(largest * largest, FEWEST), device)
    for name, dtype in DTYPES.items():
        for size in SQUARES:
            if size <= largest and (size >= 512 or largest < 512):
                every[f"matmul_{name}_{size}"] = matmul(size, size, size, dtype, device)
        if largest >= FEED_FORWARD[0]:
            every[f"matmul_{name}_4096x512x14336"] = matmul(*FEED_FORWARD, dtype, device)
    for batch in (32, 128):
        every[f"mlp_step_b{batch}"] = mlp_step(batch, device)
    return every


def seconds(step, device, rounds, round_seconds):
    synchronize = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None

    def run(steps):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        synchronize()
        return time.perf_counter() - start

    run(1)
    steps = 1
    while (took := run(steps)) < round_seconds:
        steps = int(steps * min(max(round_seconds / max(took, 1e-9) * 1.2, 1.5), 10)) + 1
    return statistics.median(run(steps) / steps for _ in range(rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=8192, help="rows and columns of the largest matrices")
    parser.add_argument("--workloads", help="names, separated by commas; all if not given")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--round-ms", type=float, default=100)
    arguments = parser.parse_args()

    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    every = workloads(arguments.largest, arguments.device)
    names = arguments.workloads.split(",") if arguments.workloads else every
    for name in names:
        if name not in every:
            raise SystemExit(f"there is no workload {name}; there are {', '.join(every)}")
        step = every[name]()
        print(name, f"{seconds(step, arguments.device, arguments.rounds, arguments.round_ms / 1000):.9f}", flush=True)
        del step


if __name__ == "__main__":
    main()
