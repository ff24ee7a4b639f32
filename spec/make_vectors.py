"""Makes the files of `spec/vectors`, and what is expected of each beside it.

    python spec/make_vectors.py            # says what is new
    python spec/make_vectors.py --accept   # writes it

Vectors are only ever added: one that would change is an error, and nothing is written. `--accept` appends what is new
to `spec/vectors/SHA256SUMS`, which tests compare the files with, and writes `spec/vectors/words.json`, which says what
the library's messages name and may change with them.
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
    """Compares, and writes what is new."""
    parser = argparse.ArgumentParser(description="Make the vectors of the dcz file format.")
    parser.add_argument("--accept", action="store_true", help="write what is new")
    accept = parser.parse_args().accept
    made, sums = files(), FOLDER / "SHA256SUMS"
    listed = dict(reversed(line.split("  ")) for line in sums.read_text().splitlines())
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in made.items()}
    changed = [f"changed: {path}" for path in listed if digests.get(path) != listed[path]]
    new = [path for path in made if path not in listed]
    if accept and not changed:
        for path in new:
            (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
            (FOLDER / path).write_bytes(made[path])
        with sums.open("a") as file:
            file.writelines(f"{digests[path]}  {path}\n" for path in new)
    words = {f"invalid/{vector.name}": vector.word for vector in invalid.vectors()}
    text = json.dumps(dict(sorted(words.items())), indent=1) + "\n"
    if accept and not changed:
        (FOLDER / "words.json").write_text(text)
    elif text != (FOLDER / "words.json").read_text():
        new.append("words.json")
    print("\n".join([*changed, *(f"new: {path}" for path in new)] or [f"{len(made)} files, all as they are listed"]))
    if changed:
        print("vectors are never changed: give what is new a name of its own")
    return int(bool(changed or (new and not accept)))


if __name__ == "__main__":
    raise SystemExit(main())
