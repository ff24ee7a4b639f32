"""Training on digits, the same for every network, dense or compressed: Adam, a falling step, images moved about."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .digits import Digits

BATCH = 64
_TURN, _SCALE, _SHIFT = math.radians(10), 0.1, 2 / 14  # at most, each way; the shift in halves of the image


def train(
    model: nn.Module,
    digits: Digits,
    epochs: int,
    *,
    seed: int,
    step: float = 1e-3,
    last_step: float = 0.0,
    decay: float = 0.0,
    parameters: Iterable[nn.Parameter] | None = None,
    each_epoch: Callable[[int], None] | None = None,
) -> None:
    """Trains in place. The step falls from `step` to `last_step` along a cosine; `each_epoch` is called with the
    number of the epoch before it begins, and may change the model's parametrizations but not its parameters."""
    draw = torch.Generator().manual_seed(seed)
    chosen = list(model.parameters() if parameters is None else parameters)
    optimizer = torch.optim.Adam(chosen, lr=step, weight_decay=decay)
    batches = epochs * -(-len(digits.labels) // BATCH)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(batches, 1), last_step)
    model.train()
    for epoch in range(epochs):
        if each_epoch is not None:
            each_epoch(epoch)
        images = moved(digits.images, draw)
        for batch in torch.randperm(len(images), generator=draw).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[batch]), digits.labels[batch]).backward()
            optimizer.step()
            falling.step()
    model.eval()


def moved(images: Tensor, draw: torch.Generator) -> Tensor:
    """Every image turned, scaled and shifted a little, each in its own way."""
    turn, wide, high, right, down = (2 * torch.rand(5, len(images), generator=draw) - 1).unbind()
    cos, sin = torch.cos(_TURN * turn), torch.sin(_TURN * turn)
    wide, high = 1 + _SCALE * wide, 1 + _SCALE * high
    rows = [wide * cos, -high * sin, _SHIFT * right, wide * sin, high * cos, _SHIFT * down]
    grid = functional.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


@torch.no_grad()
def tested(model: nn.Module, digits: Digits) -> tuple[float, float]:
    """Held-out images classified rightly, in %, and their mean cross-entropy, which is finer."""
    model.eval()
    scores = torch.cat([model(images) for images in digits.held_out_images.split(500)])
    right = (scores.argmax(1) == digits.held_out_labels).sum()
    return 100 * float(right) / len(scores), float(functional.cross_entropy(scores, digits.held_out_labels))
