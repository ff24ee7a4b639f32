"""Bits for each changed weight: dcz's whole files against what the peers store, on real pairs of checkpoints."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

import dcz
from benchmarks.studies.delta.pairs import RATES
from benchmarks.studies.delta.peers import PEERS, available
from dcz.convert import open_model

Tensors = dict[str, np.ndarray]


class Row(NamedTuple):
    """A pair and what each way takes of it, in bits for each changed weight; None where it was not run."""

    pair: str
    dtype: str
    changed: float
    whole: float
    ours: dict[str, float]
    peers: dict[str, float | None]


def read(path: Path) -> Tensors:
    """The tensors of a file."""
    with open_model(path) as model:
        return {tensor.name: model.read(tensor.name) for tensor in model.tensors()}


def delta(new: Tensors, base: Tensors, **options: str) -> bytes:
    file = io.BytesIO()
    dcz.save_delta(new, file, base=base, threads=1, **options)
    return file.getvalue()


def narrowed(base: Tensors, new: Tensors, kind: str) -> tuple[Tensors, Tensors]:
    """Both with weights of 8 bits: fp8 e4m3, or int8 with one scale a row, which is the base's."""
    if kind == "fp8":
        return tuple({k: v.astype(ml_dtypes.float8_e4m3fn) for k, v in each.items()} for each in (base, new))  # type: ignore[return-value]
    out: tuple[Tensors, Tensors] = {}, {}
    for name in base:
        rows = [each[name].astype(np.float32).reshape(len(each[name]), -1) for each in (base, new)]
        scale = np.abs(rows[0]).max(axis=1, keepdims=True) / 127 + 1e-12
        for each, words in zip(out, rows):
            each[name] = np.clip(np.round(words / scale), -127, 127).astype(np.int8)
    return out


def rows(folder: Path) -> Iterator[Row]:
    """Pairs as published, and two with narrow weights."""
    reasons = {name: available(peer) for name, peer in PEERS.items()}
    for rate in RATES:
        base = read(folder / f"{rate:g}-t.safetensors")
        for step in ("t1", "t10"):
            new = read(folder / f"{rate:g}-{step}.safetensors")
            yield row(f"{rate:g}, {'one step' if step == 't1' else 'ten steps'}", "bfloat16", base, new, reasons)
    base, new = (read(folder / f"{RATES[0]:g}-{step}.safetensors") for step in ("t", "t1"))
    matrices = [name for name in base if "layers" in name and base[name].ndim == 2]
    for kind in ("fp8", "int8"):
        narrow = narrowed({n: base[n] for n in matrices}, {n: new[n] for n in matrices}, kind)
        yield row(f"{RATES[0]:g}, one step, matrices", kind, *narrow, {})


def row(pair: str, dtype: str, base: Tensors, new: Tensors, reasons: dict[str, str | None]) -> Row:
    words = {
        name: (base[name].view(f"u{base[name].itemsize}"), new[name].view(f"u{new[name].itemsize}")) for name in new
    }
    changed = sum(int(np.count_nonzero(a != b)) for a, b in words.values())
    total = sum(a.size for a, _ in words.values())
    ours = {kind: 8 * len(delta(new, base, transform=kind)) / changed for kind in ("auto", "xor", "replace")}
    peers: dict[str, float | None] = {}
    for name, reason in reasons.items():
        peers[name] = None if reason else _bits(name, words, changed)
    return Row(pair, dtype, changed / total, 8 * len(dcz.save(new, threads=1)) / changed, ours, peers)


def _bits(name: str, words: dict[str, tuple[np.ndarray, np.ndarray]], changed: int) -> float | None:
    """Of a peer that leaves out large tensors, of the others alone."""
    stored, counted = 0, 0
    for a, b in words.values():
        data = PEERS[name](a, b)
        if data is not None:
            stored += len(data)
            counted += int(np.count_nonzero(a != b))
    return 8 * stored / counted if counted else None
