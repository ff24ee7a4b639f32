"""Whole files, everything included: how small they are, against how small they have to be.

python -m benchmarks.suite.sizes
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import dcz
from benchmarks.suite import inputs, models


@dataclass(frozen=True)
class Size:
    """One line: bytes of the file, at most `target`; or why it could not be made."""

    title: str
    target: int
    bytes: int | None = None
    reason: str = ""

    @property
    def met(self) -> bool | None:
        return None if self.bytes is None else self.bytes <= self.target


def _saved(tensors: dict[str, np.ndarray], profile: str = "auto") -> int:
    descriptor, path = tempfile.mkstemp(suffix=".dcz")
    os.close(descriptor)
    try:
        dcz.save_file(tensors, path, profile=profile)
        if any(array.tobytes() != tensors[name].tobytes() for name, array in dcz.load_file(path).items()):
            raise SystemExit("the loaded tensors differ from those saved")
        return os.path.getsize(path)
    finally:
        os.unlink(path)


def _small_tensors() -> dict[str, np.ndarray]:
    rng = np.random.Generator(np.random.PCG64(1000))
    return {f"tensor{number:04}": rng.standard_normal(10).astype(np.float32) for number in range(1000)}


def _noise() -> dict[str, np.ndarray]:
    return {"noise": np.random.Generator(np.random.PCG64(10)).integers(0, 256, 10_000_000, np.uint8)}


_TABLE: tuple[tuple[str, int, str, Callable[[], dict[str, np.ndarray]]], ...] = (
    ("SqueezeNet, profile auto", 542_000, "auto", inputs.squeezenet),
    ("SqueezeNet, profile auto, the limit to reach", 540_000, "auto", inputs.squeezenet),
    ("SqueezeNet, profile paper", 560_000, "paper", inputs.squeezenet),
    ("AlexNet-shaped, profile auto", 7_260_000, "auto", lambda: models.build(models.ALEXNET)),
    ("4096 x 4096 bfloat16, Gaussian", 22_300_000, "auto", lambda: models.bfloat16(4096, 4096)),
    ("10 MB of random bytes", 10_000_000 + 4096, "auto", _noise),
    ("1,000 tensors of 10 floats, without the floats", 60_000, "auto", _small_tensors),
)


def measure(quick: bool = False) -> list[Size]:
    """The table; `quick` leaves out what takes more than a second."""
    out = []
    for title, target, profile, make in _TABLE:
        if quick and make not in (_noise, _small_tensors, inputs.squeezenet):
            out.append(Size(title, target, reason="left out of a quick run"))
            continue
        try:
            tensors = make()
        except inputs.Unavailable as error:
            out.append(Size(title, target, reason=str(error)))
            continue
        size = _saved(tensors, profile)
        if make is _small_tensors:
            size -= sum(array.nbytes for array in tensors.values())
        out.append(Size(title, target, size))
    return out


def markdown(table: list[Size]) -> str:
    """The table as Markdown."""
    lines = ["| input | at most, B | measured, B | met |", "|---|---:|---:|---|"]
    for size in table:
        found = f"{size.bytes:,}" if size.bytes is not None else size.reason
        lines.append(f"| {size.title} | {size.target:,} | {found} | {met(size.met)} |")
    return "\n".join(lines)


def met(value: bool | None) -> str:
    return "not measured" if value is None else "yes" if value else "**no**"


if __name__ == "__main__":
    table = measure("--quick" in sys.argv)
    print(markdown(table))
    if any(size.met is False for size in table):
        raise SystemExit(1)
