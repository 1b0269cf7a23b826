"""The PyTorch recipes that osnova's `digits` and `generative` examples are compared with; results stand in README.md and docs/.

python goldens/recipes.py digits
python goldens/recipes.py fashion-mnist --data-dir /usr/share/datasets/fashion-mnist
python goldens/recipes.py vae --data-dir /usr/share/datasets/fashion-mnist
"""

import argparse
import copy
import gzip
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn


def accuracy(model, inputs, labels):
    model.eval()
    with torch.no_grad():
        return (model(inputs).argmax(1) == labels).double().mean().item()


def train_epoch(model, optimizer, inputs, labels, batch_size, generator):
    model.train()
    order = torch.randperm(len(inputs), generator=generator)
    for batch in order.split(batch_size):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
        optimizer.step()


def digits(seed, max_epochs=200, patience=10):
    """64-128-10, dropout 0.3, AdamW 1e-3, batch 32; stops when the validation loss has not improved for `patience` epochs."""
    images, labels = load_digits(return_X_y=True)
    train_x, rest_x, train_y, rest_y = train_test_split(images, labels, train_size=0.6, stratify=labels, random_state=seed)
    validation_x, test_x, validation_y, test_y = train_test_split(rest_x, rest_y, train_size=0.5, stratify=rest_y, random_state=seed)
    scaler = StandardScaler().fit(train_x)
    train_x, validation_x, test_x = (torch.from_numpy(scaler.transform(part)).float() for part in (train_x, validation_x, test_x))
    train_y, validation_y, test_y = (torch.from_numpy(part) for part in (train_y, validation_y, test_y))
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    best_loss, best_state, best_epoch = float("inf"), None, 0
    for epoch in range(max_epochs):
        train_epoch(model, optimizer, train_x, train_y, 32, generator)
        model.eval()
        with torch.no_grad():
            loss = nn.functional.cross_entropy(model(validation_x), validation_y).item()
        if loss < best_loss:
            best_loss, best_state, best_epoch = loss, copy.deepcopy(model.state_dict()), epoch
        elif epoch - best_epoch >= patience:
            break
    model.load_state_dict(best_state)
    return accuracy(model, test_x, test_y), f"stopped after epoch {epoch + 1}, best {best_epoch + 1}"


def read_idx(path):
    data = gzip.open(path).read()
    rank = data[3]
    shape = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(rank)]
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape).copy())


def fashion_mnist(seed, folder, epochs=10):
    """784-256-128-10 with ReLU, Adam 1e-3, batch 128, inputs divided by 255, no validation and no early stopping."""
    images = {part: read_idx(folder / f"{part}-images-idx3-ubyte.gz").flatten(1).float() / 255 for part in ("train", "t10k")}
    labels = {part: read_idx(folder / f"{part}-labels-idx1-ubyte.gz").long() for part in ("train", "t10k")}
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        train_epoch(model, optimizer, images["train"], labels["train"], 128, generator)
    return accuracy(model, images["t10k"], labels["t10k"]), f"{epochs} epochs"


def vae(seed, folder, epochs=20):
    """784-400-20-400-784, Bernoulli on greys, Adam 1e-3, batch 128; the test -ELBO in nats, one draw a test image."""
    images = {part: read_idx(folder / f"{part}-images-idx3-ubyte.gz").flatten(1).float() / 255 for part in ("train", "t10k")}
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)

    def parts(batch):
        mean, log_variance = encoder(batch).chunk(2, 1)
        code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        reconstruction = nn.functional.binary_cross_entropy_with_logits(decoder(code), batch, reduction="sum")
        kl = (mean.square() + log_variance.exp() - log_variance - 1).sum() / 2
        return reconstruction / len(batch), kl / len(batch)

    for _ in range(epochs):
        for batch in torch.randperm(len(images["train"]), generator=generator).split(128):
            optimizer.zero_grad()
            sum(parts(images["train"][batch])).backward()
            optimizer.step()
    with torch.no_grad():
        reconstruction, kl = (part.item() for part in parts(images["t10k"]))
    return reconstruction + kl, f"reconstruction {reconstruction:.2f} + kl {kl:.2f}, {epochs} epochs"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=["digits", "fashion-mnist", "vae"])
    parser.add_argument("--data-dir", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, help="how many, from 0 (default 10 for digits, else 3)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = []
    for seed in range(arguments.seeds or {"digits": 10}.get(arguments.recipe, 3)):
        start = time.perf_counter()
        if arguments.recipe == "vae":
            result, note = vae(seed, arguments.data_dir)
            unit = "nats"
        else:
            result, note = digits(seed) if arguments.recipe == "digits" else fashion_mnist(seed, arguments.data_dir)
            result, unit = 100 * result, "%"
        results.append(result)
        print(f"seed {seed}: {result:.2f} {unit}, {note}, {time.perf_counter() - start:.1f} s", flush=True)
    print(f"mean {statistics.mean(results):.2f} {unit}, from {min(results):.2f} to {max(results):.2f}")


if __name__ == "__main__":
    main()
