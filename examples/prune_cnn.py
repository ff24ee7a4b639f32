"""Train, prune and cluster a small convolutional network on digits.

pip install '.[torch]' scikit-learn && python prune_cnn.py
"""

import tempfile
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

import dcz.torch

torch.manual_seed(0)
torch.set_num_threads(1)
images, labels = load_digits(return_X_y=True)
x = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
y = torch.tensor(labels)
order = torch.randperm(len(x))
train, test = order[:1400], order[1400:]


def network() -> nn.Module:
    """Two convolutions and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def fit(model: nn.Module, epochs: int) -> float:
    """Trains, and gives the accuracy on other digits."""
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in train[torch.randperm(len(train))].split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    return (model(x[test]).argmax(1) == y[test]).float().mean().item()


model = network()
print(f"dense: {fit(model, 4):.3f}")
for density in (0.5, 0.2):
    dcz.torch.prune_(model, density=density)  # pruned weights stay zero while it trains on
    print(f"{density:.0%} of the weights: {fit(model, 3):.3f}")
dcz.torch.cluster_(model, n_bits=4)  # 16 values a layer, which are trained on
print(f"and 16 values a layer: {fit(model, 3):.3f}")

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "cnn.dcz"
    dcz.torch.save_model(model, path)
    weights = 4 * sum(parameter.numel() for parameter in network().parameters())
    print(f"{weights:,} bytes of weights, {path.stat().st_size:,} bytes of file")

    fresh = network()  # knows nothing of pruning
    dcz.torch.load_model(fresh, path)
    assert torch.equal(fresh(x[test]), dcz.torch.finalize_(model)(x[test]))
