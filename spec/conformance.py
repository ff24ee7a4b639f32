"""Runs readers over all vectors and compares what they print: `python spec/conformance.py [READER...]`.

A reader is `native` or `pure` (the library with these kernels), `reference` (the reference decoder), or a command line
that is given a file, and `--base FILE` behind it where one is needed, and prints the protocol of `spec/README.md`.
Without any, these three run. Ends with 1 if anything differs from what is expected.

    python spec/conformance.py native reference 'path/to/dcz-cat --json'
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("vectors")
BUILT_IN = ("native", "pure", "reference")
SECONDS = 60
MOST = 20  # differences that are printed of each reader

Lines = list[dict[str, Any]]
Reader = Callable[[str, "str | None"], Lines]


@dataclass
class Vector:
    """A file, what is expected of it, and the file to read it with."""

    path: Path
    expected: dict[str, Any]
    base: Path | None = None

    @property
    def name(self) -> str:
        """Folder and name."""
        return f"{self.path.parent.name}/{self.path.stem}"


@dataclass
class Outcome:
    """What a reader made of the vectors: how many it read or refused as it must, how many files with a base it left
    out, and the differences."""

    right: int = 0
    left_out: int = 0
    differences: dict[str, str] = field(default_factory=dict)


def vectors(folder: Path = FOLDER) -> Iterator[Vector]:
    """All of a folder, those of `valid` first."""
    for path in [*sorted(folder.glob("valid/*.dcz")), *sorted(folder.glob("invalid/*.dcz"))]:
        expected = json.loads(path.with_suffix(".json").read_text())
        base = expected.get("base")
        yield Vector(path, expected, folder / "valid" / f"{base}.dcz" if base else None)


def compare(expected: dict[str, Any], found: Lines, is_library: bool = False) -> str:
    """What differs, in a sentence; nothing if nothing does. `left out` where a file with a base is not read, or where a
    reader keeps no such limit."""
    error = next((line for line in found if "error" in line), None)
    if "error" in expected:
        classes = expected["error"] if type(expected["error"]) is list else [expected["error"]]
        if error is None:
            is_own_limit = expected["requirement"] == ["9"] and not is_library
            return "left out" if is_own_limit else f"is read, expected an error of class {' or '.join(classes)}"
        if error["error"] not in classes:
            return f"error of class {error['error']}, expected {' or '.join(classes)}: {error.get('message', '')}"
        if is_library and expected["word"] not in error["message"]:
            return f"the message does not say {expected['word']!r}: {error['message']}"
        return ""
    if error is not None:
        return f"is refused ({error['error']}: {error.get('message', '')})"
    names = [line.get("name") for line in found]
    if names != [line["name"] for line in expected["tensors"]]:
        return f"the tensors are {names!r:.200}, expected {[line['name'] for line in expected['tensors']]!r:.200}"
    left_out = ""
    for wanted, line in zip(expected["tensors"], found):
        if "unsupported" in line and "unsupported" not in wanted and "base" in expected:
            left_out = "left out"
        elif ("unsupported" in line) != ("unsupported" in wanted) or "unsupported" not in line and line != wanted:
            return f"{line!r:.200}, expected {wanted!r:.200}"
    return left_out


def run(reader: Reader, found: list[Vector], is_library: bool = False) -> Outcome:
    """A reader over vectors."""
    out = Outcome()
    for vector in found:
        difference = compare(
            vector.expected, reader(str(vector.path), str(vector.base) if vector.base else None), is_library
        )
        if difference == "left out":
            out.left_out += 1
        elif difference:
            out.differences[vector.name] = difference
        else:
            out.right += 1
    return out


def built_in(name: str) -> Reader:
    """A reader that runs here: the library with its best compiled kernels, or with a kernel set by name."""
    if name == "reference":
        return _reference
    sys.path.insert(0, str(Path(__file__).with_name("readers")))
    import library

    from dcz import kernels

    sets = kernels.available()
    best = next((found for found in reversed(list(sets)) if found != "pure"), None)
    chosen = best if name == "native" else name
    if chosen is None:
        raise SystemExit("this install of dcz has no compiled kernels; run it with: pure reference")

    def read(file: str, base: str | None) -> Lines:
        with kernels.use(sets[chosen]):
            return library.lines(file, base)

    return read


def _reference(file: str, base: str | None) -> Lines:
    from reference_decoder import lines

    return lines(file, base)


def command(line: str) -> Reader:
    """A reader that is a program."""
    words = shlex.split(line)

    def read(file: str, base: str | None) -> Lines:
        call = [*words, file, *(["--base", base] if base else [])]
        try:
            done = subprocess.run(call, capture_output=True, text=True, timeout=SECONDS)
            found = [json.loads(each) for each in done.stdout.splitlines()]
        except (ValueError, subprocess.TimeoutExpired) as error:
            return [{"error": "crash", "message": f"{error!r:.200}"}]
        refused = any("error" in each for each in found)
        if done.returncode not in (0, 1) or refused != (done.returncode == 1):
            return [{"error": "crash", "message": f"exit code {done.returncode}: {done.stderr!r:.200}"}]
        return found

    return read


def table(outcomes: dict[str, Outcome], total: int) -> str:
    """All readers, a line each, and the first differences of each."""
    width = max(map(len, outcomes), default=0)
    rows = [f"{'reader':{width}}  vectors  as expected  left out  different"]
    for name, each in outcomes.items():
        rows.append(f"{name:{width}}  {total:7}  {each.right:11}  {each.left_out:8}  {len(each.differences):9}")
    for name, each in outcomes.items():
        rows += [f"{name}: {vector}: {difference}" for vector, difference in list(each.differences.items())[:MOST]]
    return "\n".join(rows)


def main() -> int:
    """Runs the readers of the command line."""
    parser = argparse.ArgumentParser(description="Compare readers of dcz files with the vectors.")
    parser.add_argument("readers", nargs="*", metavar="READER", help="native, pure, reference, or a command line")
    names = parser.parse_args().readers or list(BUILT_IN)
    found = list(vectors())
    readers = {name: built_in(name) if name in BUILT_IN else command(name) for name in names}
    outcomes = {name: run(reader, found, name in ("native", "pure")) for name, reader in readers.items()}
    print(table(outcomes, len(found)))
    return int(any(each.differences for each in outcomes.values()) or not found)


if __name__ == "__main__":
    raise SystemExit(main())
