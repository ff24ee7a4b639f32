"""Small models for the pages: made from a seed, so that pages print the same everywhere."""

from __future__ import annotations

import numpy as np


def dense(seed: int = 0) -> dict[str, np.ndarray]:
    """A small network as training leaves it: no zeros, every value its own."""
    rng = np.random.default_rng(seed)
    made: dict[str, np.ndarray] = {}
    for name, shape in (("conv1", (32, 3, 3, 3)), ("conv2", (64, 32, 3, 3)), ("fc1", (256, 1024)), ("fc2", (10, 256))):
        made[f"{name}.weight"] = rng.laplace(scale=0.03, size=shape).astype("float32")
        made[f"{name}.bias"] = rng.normal(scale=0.05, size=shape[0]).astype("float32")
    return made


def compressed(seed: int = 0) -> dict[str, np.ndarray]:
    """The same network pruned to a tenth, with 32 values a layer."""
    import dcz

    return dcz.compress(dense(seed), {"density": 0.1, "n_bits": 5})


def save_safetensors(tensors: dict[str, np.ndarray], path: str) -> None:
    """As safetensors."""
    from safetensors.numpy import save_file

    save_file(tensors, path)
