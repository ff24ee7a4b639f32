"""Makes the files of `spec/vectors`, and what is expected of each beside it.

    python spec/make_vectors.py            # says what would be new or other
    python spec/make_vectors.py --accept   # writes it

Vectors are only ever added. Until version 1 is frozen, a change of the format may change them: `--accept` writes those
too, and `spec/vectors/SHA256SUMS`, which tests compare them with.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from making import deltas, invalid, valid
from making.vectors import Vector

FOLDER = Path(__file__).with_name("vectors")


def everything() -> Iterator[tuple[str, Vector]]:
    """Each vector and its folder."""
    for vector in (*valid.vectors(), *deltas.vectors()):
        yield "valid", vector
    for vector in invalid.vectors():
        yield "invalid", vector


def files() -> dict[str, bytes]:
    """The content of each file by its path below `spec/vectors`."""
    out: dict[str, bytes] = {}
    for folder, vector in everything():
        path = f"{folder}/{vector.name}"
        assert f"{path}.dcz" not in out, f"two vectors are named {path}"
        out[f"{path}.dcz"] = vector.data
        out[f"{path}.json"] = (json.dumps(vector.description(), indent=1, ensure_ascii=True) + "\n").encode()
    return out


def main() -> int:
    """Compares or writes."""
    parser = argparse.ArgumentParser(description="Make the vectors of the dcz file format.")
    parser.add_argument("--accept", action="store_true", help="write what is new or other")
    accept = parser.parse_args().accept
    made, other = files(), []
    for path, content in made.items():
        target = FOLDER / path
        if not target.exists() or target.read_bytes() != content:
            other.append(f"{'other' if target.exists() else 'new'}: {path}")
            if accept:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    if accept:
        sums = [f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in sorted(made.items())]
        (FOLDER / "SHA256SUMS").write_text("".join(sums))
    print("\n".join(other) if other else f"{len(made)} files, all as they are made")
    return 0 if accept or not other else 1


if __name__ == "__main__":
    raise SystemExit(main())
