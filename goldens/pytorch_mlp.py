"""Models as a PyTorch user saves them, and what PyTorch predicts with them: osnova must load and predict equally."""

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from goldens_io import generator


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(64, 32)
        self.out = nn.Linear(32, 10)

    def forward(self, input):
        return self.out(torch.relu(self.hidden(input)))


def write(folder):
    torch.manual_seed(20)
    model = Mlp()
    sequential = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    sequential.load_state_dict({f"{index}.{kind}": getattr(getattr(model, name), kind) for index, name in ((0, "hidden"), (2, "out")) for kind in ("weight", "bias")})
    inputs = torch.from_numpy(generator("pytorch_mlp").normal(size=(16, 64)).astype(np.float32))
    with torch.no_grad():
        logits, again = model(inputs), sequential(inputs)
        exact = model.double()(inputs.double())
    assert torch.equal(logits, again)
    assert (logits.double() - exact).abs().max() < 1e-6 * exact.abs().max()
    files = {
        "pytorch_mlp.safetensors": model.float().state_dict(),
        "pytorch_mlp_sequential.safetensors": sequential.state_dict(),
        "pytorch_mlp_predictions.safetensors": {"inputs": inputs, "logits": logits},
    }
    for name, tensors in files.items():
        # The second as Hugging Face writes it, with the one metadata entry it always adds.
        save_file(tensors, folder / name, metadata={"format": "pt"} if "sequential" in name else None)
        print(f"{name}: {len(tensors)} tensors, {(folder / name).stat().st_size} bytes")
