"""Writes the golden files of a release: `PYTHONPATH=tests python tests/data/compat/write.py 1.0`.

A set is written once, when a release is made, and kept for ever: every later release must read it. A folder that is
there is never written again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import dcz
from support.arrays import CODES, make_array
from support.pairs import changed

FOLDER = Path(__file__).parent
PROFILES = ("auto", "paper", "csr", "dense", "raw")


def files() -> dict[str, tuple[bytes, str]]:
    """Each file and the one that is its base."""
    model = {
        "conv.weight": make_array(1, "F32", (16, 3, 3, 3), 0.3, 16, "float"),
        "fc.weight": make_array(2, "F16", (60, 50), 0.08, 15, "float"),
        "fc.bias": make_array(3, "F32", (60,), 1.0, 5000, "float"),
        "steps": np.int64(12345),
    }
    out = {profile: (dcz.save(model, profile=profile), "") for profile in PROFILES}
    about = {"step": 3, "loss": 0.5, "labels": ["a", "b"], "raw": b"\0\xff", "none": None}
    out["metadata"] = dcz.save({**model, "tied": model["fc.weight"]}, metadata=about), ""
    out["dtypes"] = dcz.save({code: make_array(5, code, (7,), 0.8, 5, "random") for code in CODES}), ""
    out["empty"] = dcz.save({"none": np.zeros((0, 3), "f4")}), ""
    out["portable"] = dcz.save(model, portable=True), ""
    out |= {name: (dcz.save({"w": array}), "") for name, array in kinds().items()}
    about = {"fc.bias": {"unit": "V", "scale": [0.5, None]}}
    out["tensor-metadata"] = dcz.save(model, tensor_metadata=about), ""
    for transform in ("step", "xor", "replace"):
        path = FOLDER / f"{transform}.tmp"
        new = {name: changed(array, 9, 0.1, "near") for name, array in model.items() if array.shape}
        dcz.save_delta({**new, "steps": model["steps"]}, path, base=model, transform=transform)
        out[f"delta-{transform}"] = path.read_bytes(), "auto"
        path.unlink()
    return out


def kinds() -> dict[str, np.ndarray]:
    """Arrays that take what ordinary ones do not: frames, wide relative indices, two planes of indices, codebooks of
    groups."""
    rng = np.random.Generator(np.random.PCG64(9))
    wide = np.zeros(300_000, "<f2")
    wide[rng.integers(0, len(wide), 60)] = rng.integers(1, 9, 60)
    books = rng.standard_normal((40, 16)).astype("<f4")
    return {
        "zstd": np.tile(make_array(4, "U8", (700,), 1.0, 70_000, "random"), 20),
        "relative16": wide,
        "index-planes": make_array(2, "F32", (60, 70), 0.9, 900, "float"),
        "groups": np.stack([book[np.minimum(rng.geometric(0.6, 2048), 16) - 1] for book in books]),
    }


def main() -> None:
    """Writes the set of the release that is named."""
    folder = FOLDER / sys.argv[1]
    folder.mkdir()
    made, about = files(), {}
    for name, (data, base) in made.items():
        (folder / f"{name}.dcz").write_bytes(data)
        found = dcz.load_file(data, base=dcz.load(made[base][0])) if base else dcz.load(data)
        about[name] = {
            "sha256": hashlib.sha256(data).hexdigest(),
            **({"base": base} if base else {}),
            "tensors": {
                name: [array.dtype.name, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
                for name, array in found.items()
            },
        }
    (folder / "expected.json").write_text(json.dumps({"dcz": dcz.__version__, "files": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
