"""How long planning and calibration of transformers take; prints a table in Markdown.

python -m benchmarks.pretrained.times

The sentence encoder of this suite, and a transformer of BERT-base's shape whose weights are random: it says what
calibration of 110 million weights costs, and nothing of fidelity.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import dcz
import dcz.torch
from benchmarks.pretrained.networks import NETWORKS, installed

SAMPLES, LENGTH, BATCH = 128, 32, 8


def encoder() -> Any:
    """all-MiniLM-L6-v2 as transformers loads it."""
    from transformers import BertModel

    own = next(network for network in NETWORKS if network.name == "sentence encoder")
    return BertModel.from_pretrained(installed(own.package, own.file).parent, add_pooling_layer=False)


def random_base() -> Any:
    """The shape of BERT-base: 12 layers of 768."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    return BertModel(BertConfig(), add_pooling_layer=False)


def timed(what: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, seconds by the clock, and of the processors."""
    start, spent = time.perf_counter(), time.process_time()
    found = what()
    return found, time.perf_counter() - start, time.process_time() - spent


def rows(label: str, model: Any, only_calibrated: bool) -> list[str]:
    """Lines of the table."""
    import torch

    model = model.eval()
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    weights = sum(array.size for array in tensors.values())
    ids = torch.from_numpy(np.random.default_rng(0).integers(1000, 30000, (SAMPLES, LENGTH)))
    moments, *calibrated = timed(lambda: dcz.torch.calibrate(model, list(ids.split(BATCH))))
    steps = {f"calibration, {SAMPLES} samples of {LENGTH} tokens": calibrated}
    if not only_calibrated:
        _, *steps["plan without data, 8 times"] = timed(lambda: dcz.plan(tensors, target_ratio=8))
        _, *steps["rounding with error feedback"] = timed(
            lambda: dcz.compress(tensors, {"step": 0.5}, calibration=moments)
        )
    return [
        f"| {label}, {weights / 1e6:.1f} M weights | {name} | {a:.0f} | {b:.0f} |" for name, (a, b) in steps.items()
    ]


def main() -> None:
    """Prints the table."""
    print(f"{os.cpu_count()} cores, load of others and this {os.getloadavg()[0]:.1f}\n")
    print("| network | step | s | s of processors |\n|---|---|--:|--:|")
    print("\n".join(rows("all-MiniLM-L6-v2", encoder(), False)), flush=True)
    print("\n".join(rows("BERT-base's shape, random", random_base(), True)), flush=True)


if __name__ == "__main__":
    main()
