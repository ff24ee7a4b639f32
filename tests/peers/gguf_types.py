"""Every block type of the `gguf` package, there and back byte for byte.

    python tests/peers/gguf_types.py

The library writes a file of each type and of two shapes; dcz packs it, reads the blocks, and unpacks it again. Types
that dcz does not know by name are carried as bytes, and counted apart. The run fails if a file does not come back."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from dcz.convert import open_model, open_target, transfer
from dcz.convert.gguf_header import _TYPES

SHAPES = ((1, 1), (3, 2))  # rows, blocks in each


def convert(source: Path, target: Path) -> Path:
    with open_model(source) as model:
        transfer(model, open_target(target))
    return target


def write(gguf: object, path: Path, kind: object, rows: int, blocks: int, alignment: int) -> np.ndarray:
    """A file with two tensors of a type, of random bytes; their bytes."""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    rng = np.random.Generator(np.random.PCG64([int(kind), rows, alignment]))
    raw = rng.integers(0, 256, (rows, blocks * size), np.uint8)
    writer = gguf.GGUFWriter(path, "test")
    writer.add_custom_alignment(alignment)
    for name in ("a.weight", "b.weight"):
        writer.add_tensor(name, raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return raw


def main() -> int:
    """Tries every type; returns how many files did not come back."""
    gguf = importlib.import_module("gguf")
    counts: Counter[str] = Counter()
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for kind in gguf.GGMLQuantizationType:
            known = "known by name" if int(kind) in _TYPES else "carried as bytes"
            for rows, blocks in SHAPES:
                for alignment in (32, 128):
                    raw = write(gguf, path / "a.gguf", kind, rows, blocks, alignment)
                    packed = convert(path / "a.gguf", path / "a.dcz")
                    with open_model(packed) as model:
                        found = model.read("a.weight").reshape(-1).view(np.uint8)
                    back = convert(packed, path / "b.gguf")
                    same = back.read_bytes() == (path / "a.gguf").read_bytes()
                    same &= found[: raw.size].tobytes() == raw.tobytes()
                    counts[known] += 1
                    if not same:
                        failed.append(f"{kind.name} {rows}x{blocks} at {alignment}")
            counts[f"types {known}"] += 1
    print(f"gguf: {dict(counts)}; {len(failed)} files did not come back {failed[:5]}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
