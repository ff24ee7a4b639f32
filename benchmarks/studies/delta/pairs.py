"""Pairs of checkpoints to take differences of: a small language model, trained here, before and after a step.

    python -m benchmarks.studies.delta.pairs FOLDER

A transformer over the words of Python's own library, from scratch, in float32 with AdamW; then for each learning rate
five steps to settle, and the weights are cast to bfloat16 before and after one step more, and after ten. That is what
publishing a policy after every step casts too. Half of the weights are embeddings, of which a batch touches few.
"""

from __future__ import annotations

import copy
import re
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import torch
from torch import nn

WORDS, WIDTH, LAYERS, HEADS = 24_576, 384, 5, 6
BATCH, LENGTH = 8, 32
WARM_STEPS, SETTLING = 60, 5
# Learning rates at which about a quarter, one and a half, and six per cent of the weights change in a step.
RATES = (6e-7, 6e-6, 4e-5)


class Model(nn.Module):
    """Embedding, blocks with their norm before, a head of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.place = nn.Embedding(LENGTH, WIDTH)
        block = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.place.weight
        mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
        return self.norm(self.blocks(x, mask, is_causal=True)) @ self.embed.weight.T


def tokens() -> torch.Tensor:
    """The words of the standard library's top modules, those that are frequent enough."""
    text = "".join(path.read_text(errors="ignore") for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")))
    words = re.findall(r"\w+|[^\w\s]|\n", text)
    number = {word: i for i, (word, _) in enumerate(Counter(words).most_common(WORDS - 1), 1)}
    return torch.tensor([number.get(word, 0) for word in words])


def step(model: Model, optimizer: torch.optim.Optimizer, text: torch.Tensor, generator: torch.Generator) -> float:
    """One step of training; returns the loss."""
    at = torch.randint(len(text) - LENGTH - 1, (BATCH, 1), generator=generator) + torch.arange(LENGTH + 1)
    batch = text[at]
    loss = nn.functional.cross_entropy(model(batch[:, :-1]).reshape(-1, WORDS), batch[:, 1:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss)


def cast(model: Model) -> dict[str, torch.Tensor]:
    """What would be published."""
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items()}


def make(folder: Path) -> None:
    """Writes `RATE-t.safetensors`, `RATE-t1.safetensors` and `RATE-t10.safetensors` for each learning rate."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    text, generator = tokens(), torch.Generator().manual_seed(0)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-4, weight_decay=0.01)
    for number in range(WARM_STEPS):
        loss = step(model, optimizer, text, generator)
        if number % 20 == 19:
            print(f"step {number + 1}, loss {loss:.2f}", flush=True)
    for rate in RATES:
        here, trained = copy.deepcopy(model), copy.deepcopy(optimizer.state_dict())
        its = torch.optim.AdamW(here.parameters(), rate, weight_decay=0.01)
        its.load_state_dict(trained)
        for group in its.param_groups:
            group["lr"] = rate
        for number in range(SETTLING + 10):
            if number == SETTLING:
                save_file(cast(here), folder / f"{rate:g}-t.safetensors")
            step(here, its, text, generator)
            if number == SETTLING:
                save_file(cast(here), folder / f"{rate:g}-t1.safetensors")
        save_file(cast(here), folder / f"{rate:g}-t10.safetensors")
        print(f"learning rate {rate:g}: written", flush=True)


if __name__ == "__main__":
    make(Path(sys.argv[1] if len(sys.argv) > 1 else "pairs"))
