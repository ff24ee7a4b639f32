"""Publish training steps as differences, and follow them in place.

python deltas.py
"""

import tempfile
from pathlib import Path

import ml_dtypes
import numpy as np

import dcz

rng = np.random.default_rng(0)
trainer = {"w": (0.02 * rng.standard_normal((512, 512))).astype("float32")}


def published() -> dict[str, np.ndarray]:
    """The trainer's weights, as receivers have them."""
    return {name: array.astype(ml_dtypes.bfloat16) for name, array in trainer.items()}


receiver = {name: array.copy() for name, array in published().items()}
with tempfile.TemporaryDirectory() as folder:
    for step in range(3):
        base = published()
        trainer["w"] += 1e-6 * rng.standard_normal((512, 512)).astype("float32")  # a step of a small learning rate
        path = Path(folder) / f"step-{step}.dcz"
        dcz.save_delta(published(), path, base=base)

        dcz.apply_delta(receiver, path)  # checks everything first, then writes what changed
        assert receiver["w"].tobytes() == published()["w"].tobytes()
        changed = np.count_nonzero(base["w"] != receiver["w"])
        size = path.stat().st_size
        print(f"step {step}: {changed:,} of {base['w'].size:,} weights changed, {size:,} bytes of {base['w'].nbytes:,}")

    dcz.fold(Path(folder) / "step-0.dcz", Path(folder) / "step-1.dcz", Path(folder) / "both.dcz")
    print(f"steps 0 and 1 as one: {(Path(folder) / 'both.dcz').stat().st_size:,} bytes")
