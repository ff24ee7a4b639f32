"""One-shot pruning of a transformer, with and without error feedback, against quantization alone.

python -m benchmarks.studies.pruning_transformer

A small vision transformer learns scikit-learn's digits; its two blocks are then pruned, rounded, or both, without
training on. Writes `benchmarks/results/pruning-transformer.csv`: bytes of the file, the accuracy on digits it did not
learn from, and the cosine of its outputs with the original's.
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

import dcz
import dcz.torch

RESULT = Path(__file__).parents[1] / "results" / "pruning-transformer.csv"
WIDTH, HEADS, LAYERS, PATCH = 96, 4, 3, 2
EPOCHS, BATCH = 12, 64
# What is tried, each without moments and with them: name and recipe.
TRIES = (
    *((f"pruned to {density}", {"density": density}) for density in (0.7, 0.5, 0.3, 0.2)),
    *((f"step {step}", {"step": step}) for step in (0.2, 0.5, 0.8, 1.1, 1.4, 1.8)),
    *((f"pruned to {density}, step {step}", {"density": density, "step": step})
      for density, step in ((0.5, 0.5), (0.5, 0.8), (0.3, 0.8), (0.2, 0.8))),
)  # fmt: skip


class Transformer(nn.Module):
    """Patches of 2 x 2 pixels as tokens, blocks of attention and two linear layers, the mean of the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(PATCH * PATCH, WIDTH)
        self.place = nn.Parameter(torch.randn(64 // PATCH**2, WIDTH) * 0.1)
        self.blocks = nn.ModuleList(_Block() for _ in range(LAYERS))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = images.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).flatten(3).flatten(1, 2)
        hidden = self.embed(tokens) + self.place
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden).mean(1))


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mix, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        batch, length, _ = hidden.shape
        parts = self.mix(self.first(hidden)).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(batch, length, WIDTH)
        hidden = hidden + self.out(mixed)
        return hidden + self.down(nn.functional.gelu(self.up(self.second(hidden))))


def trained(images: torch.Tensor, labels: torch.Tensor) -> Transformer:
    """The transformer, trained."""
    torch.manual_seed(0)
    model = Transformer()
    steps = EPOCHS * -(-len(images) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(images)).split(BATCH):
            loss = nn.functional.cross_entropy(model(images[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def main() -> None:
    """Trains, tries, and writes the table."""
    data = load_digits()
    images, labels = torch.tensor(data.images, dtype=torch.float32) / 16, torch.tensor(data.target)
    order = torch.from_numpy(np.random.Generator(np.random.PCG64(0)).permutation(len(images)))
    learnt, unseen = order[:1200], order[1200:]
    model = trained(images[learnt], labels[learnt])
    found = dcz.torch.calibrate(model, images[learnt[:128]].split(32))
    state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    dense = sum(array.nbytes for array in state.values())
    with torch.no_grad():
        wanted = model(images[unseen])
    rows = [_row("as it is", False, dense, dense, wanted, wanted, labels[unseen])]
    for (name, recipe), with_data in itertools.product(TRIES, (False, True)):
        small = dcz.compress(state, recipe, calibration=found if with_data else None)
        model.load_state_dict({key: torch.from_numpy(np.array(array)) for key, array in small.items()})
        with torch.no_grad():
            got = model(images[unseen])
        rows.append(_row(name, with_data, len(dcz.save(small)), dense, wanted, got, labels[unseen]))
        print(*rows[-1].values(), sep="\t", flush=True)
    with RESULT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _row(
    name: str, data: bool, nbytes: int, dense: int, wanted: torch.Tensor, got: torch.Tensor, labels: torch.Tensor
) -> dict[str, object]:
    return {
        "treatment": name,
        "data": int(data),
        "bytes": nbytes,
        "ratio": round(dense / nbytes, 2),
        "cosine": round(float(nn.functional.cosine_similarity(wanted.flatten(), got.flatten(), 0)), 4),
        "accuracy": round(float((got.argmax(1) == labels).float().mean()), 4),
    }


if __name__ == "__main__":
    main()
