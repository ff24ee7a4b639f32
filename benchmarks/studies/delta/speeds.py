"""How fast a difference is saved, applied and opened, against what a program without dcz does: one thread, and
processor time, the best of several runs in turns."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import NamedTuple

import ml_dtypes
import numpy as np
import zstandard

import dcz

SHAPE, TENSORS = (2048, 8192), 4
SHARES = (0.002, 0.01, 0.03)
TURNS = 7


class Speeds(NamedTuple):
    """Gigabytes of the model a second for each way, at a share of changed weights."""

    share: float
    ways: dict[str, float]


def model(share: float) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian weights before and after a step of Adam: every one moves as far, and those that are small enough
    change."""
    rng = np.random.Generator(np.random.SFC64(1))
    weights = 0.02 * rng.standard_normal(SHAPE, np.float32)
    sign = np.where(rng.random(SHAPE, np.float32) < 0.5, np.float32(-1), np.float32(1))
    base = weights.astype(ml_dtypes.bfloat16)
    low, high = 1e-9, 1e-3
    for _ in range(40):
        step = (low * high) ** 0.5
        new = (weights + np.float32(step) * sign).astype(ml_dtypes.bfloat16)
        found = float(np.mean(new.view(np.uint16) != base.view(np.uint16)))
        if abs(found / share - 1) < 0.01:
            break
        low, high = (step, high) if found < share else (low, step)
    return base, new


def measured(ways: dict[str, Callable[[], object]], nbytes: int) -> dict[str, float]:
    """Each way in turn, several times; the best of each."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(TURNS):
        for name, work in ways.items():
            start = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - start)
    return {name: nbytes / seconds / 1e9 for name, seconds in best.items()}


def speeds(share: float) -> Speeds:
    """One model of several equal tensors."""
    one, other = model(share)
    base, new = ({f"layers.{i}.weight": each.copy() for i in range(TENSORS)} for each in (one, other))
    words = {name: (base[name].view(np.uint16), new[name].view(np.uint16)) for name in base}
    file, back = io.BytesIO(), io.BytesIO()
    dcz.save_delta(new, file, base=base, threads=1)
    delta = file.getvalue()
    dcz.invert(delta, back)
    there, inverse = {name: array.copy() for name, array in base.items()}, back.getvalue()
    xor = dcz.save({name: a ^ b for name, (a, b) in words.items()}, threads=1)
    frames = {name: zstandard.ZstdCompressor(level=3).compress((a ^ b).tobytes()) for name, (a, b) in words.items()}
    out = {name: np.empty_like(a) for name, (a, _) in words.items()}
    typed = {name: array.view(base[name].dtype) for name, array in out.items()}

    def to_and_fro(verify: str) -> Callable[[], object]:
        def work() -> None:
            dcz.apply_delta(there, delta, verify=verify, threads=1)
            dcz.apply_delta(there, inverse, verify=verify, threads=1)

        return work

    def by_xor() -> None:
        for name, array in dcz.load(xor, threads=1, out=out).items():
            np.bitwise_xor(words[name][0], array, out=array)

    def by_zstd() -> None:
        for name, frame in frames.items():
            bits = np.frombuffer(zstandard.ZstdDecompressor().decompress(frame), np.uint16).reshape(SHAPE)
            np.bitwise_xor(words[name][0], bits, out=out[name])

    def save_by_zstd() -> None:
        for a, b in words.values():
            zstandard.ZstdCompressor(level=3).compress((a ^ b).tobytes())

    found = measured(
        {
            "save_delta": lambda: dcz.save_delta(new, io.BytesIO(), base=base, threads=1),
            "zstd -3 of XOR, saving": save_by_zstd,
            "apply_delta, full": to_and_fro("full"),
            "apply_delta, base": to_and_fro("base"),
            "load_file with base": lambda: dcz.load_file(delta, base=base, threads=1, out=typed),
            "dcz.load of XOR, numpy XOR": by_xor,
            "zstd -d of XOR, numpy XOR": by_zstd,
        },
        TENSORS * one.nbytes,
    )
    for name in ("apply_delta, full", "apply_delta, base"):
        found[name] *= 2  # there and back
    return Speeds(share, found)


def opening(tensors: int = 10_000) -> dict[str, float]:
    """Milliseconds to open files of so many tensors: of differences, and whole."""
    rng = np.random.default_rng(0)
    base = {f"layers.{i}.weight": rng.standard_normal(300).astype(np.float32) for i in range(tensors)}
    new = {name: array + (rng.random(300) < 0.02) * np.float32(1e-3) for name, array in base.items()}
    file = io.BytesIO()
    dcz.save_delta(new, file, base=base, threads=1)
    files = {"differences": file.getvalue(), "whole": dcz.save(new, threads=1)}
    ways = {name: (lambda data=data: dcz.open(data).close()) for name, data in files.items()}
    return {name: 1e3 / (rate * 1e9) for name, rate in measured(ways, 1).items()}
