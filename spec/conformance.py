"""Runs readers over all vectors and compares what they print: `python spec/conformance.py [READER...]`.

A reader is `native` or `pure` (the library with these kernels), `reference` (the reference decoder), `c` (dcz-cat of
`codec/c`, compiled here), or a command line, which is given a file, with `--base FILE` behind it where one is needed,
and prints the protocol of `spec/README.md`; `NAME=COMMAND` names its line in the table. Without any, these four run,
`c` if there is a C compiler with libzstd. Ends with 1 if anything differs from what is expected.

    python spec/conformance.py native reference 'wasm=node codec/js/tools/dcz-cat.mjs --json'
"""

from __future__ import annotations

import argparse
import atexit
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("vectors")
ROOT = Path(__file__).parents[1]
BUILT_IN = ("native", "pure", "reference", "c")
C_FLAGS = ("-std=c11", "-O2", "-D_POSIX_C_SOURCE=200809L")
SECONDS = 60
MOST = 20  # differences that are printed of each reader

Lines = list[dict[str, Any]]
Reader = Callable[[str, "str | None"], Lines]


@dataclass
class Vector:
    """A file, what is expected of it, the file to read it with, and what the library's message says."""

    path: Path
    expected: dict[str, Any]
    base: Path | None = None
    word: str = ""

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
    words = json.loads((folder / "words.json").read_text())
    for path in [*sorted(folder.glob("valid/*.dcz")), *sorted(folder.glob("invalid/*.dcz"))]:
        expected = json.loads(path.with_suffix(".json").read_text())
        base = expected.get("base")
        word = words.get(f"{path.parent.name}/{path.stem}", "")
        yield Vector(path, expected, folder / "valid" / f"{base}.dcz" if base else None, word)


def compare(expected: dict[str, Any], found: Lines, is_library: bool = False, word: str = "") -> str:
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
        if is_library and word not in error["message"]:
            return f"the message does not say {word!r}: {error['message']}"
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
        found_lines = reader(str(vector.path), str(vector.base) if vector.base else None)
        difference = compare(vector.expected, found_lines, is_library, vector.word)
        if difference == "left out":
            out.left_out += 1
        elif difference:
            out.differences[vector.name] = difference
        else:
            out.right += 1
    return out


def built_in(name: str) -> Reader:
    """A reader that comes with this repository: the library with its best compiled kernels, or with a kernel set by
    name, the reference decoder, or dcz-cat."""
    if name == "reference":
        return _reference
    if name == "c":
        return command(f"{compile_c()} --json")
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


def compile_c() -> str:
    """dcz-cat, compiled into a folder that is removed at the end."""
    compiler = c_compiler()
    if compiler is None:
        raise SystemExit("there is no C compiler with libzstd; run it without: c")
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    out, c = Path(folder) / "dcz-cat", ROOT / "codec" / "c"
    sources = [c / "dcz.c", c / "dcz_zstd.c", c / "tools" / "dcz-cat.c"]
    subprocess.run([compiler, *C_FLAGS, "-o", out, *sources, "-lzstd"], check=True)
    return shlex.quote(str(out))


def c_compiler() -> str | None:
    """A C compiler of this machine that finds libzstd's header."""
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name)
        call = [found or "", "-E", "-"]
        if found and not subprocess.run(call, input=b"#include <zstd.h>\n", capture_output=True).returncode:
            return found
    return None


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


def runnable() -> list[str]:
    """The built-in readers but for those that this machine lacks: C's without a compiler, native without kernels."""
    from dcz import kernels

    lacks = {"c": not c_compiler(), "native": set(kernels.available()) == {"pure"}}
    return [name for name in BUILT_IN if not lacks.get(name)]


def readers(names: list[str]) -> dict[str, Reader]:
    """Readers by the names of their columns."""
    chosen = names or runnable()
    found = {}
    for name in chosen:
        label, equals, line = name.partition("=")
        is_named = bool(equals) and label.isidentifier()
        found[label if is_named else name] = built_in(name) if name in BUILT_IN else command(line if is_named else name)
    return found


def main() -> int:
    """Runs the readers of the command line."""
    parser = argparse.ArgumentParser(description="Compare readers of dcz files with the vectors.")
    parser.add_argument("readers", nargs="*", metavar="READER", help="native, pure, reference, c, or a command line")
    chosen = readers(parser.parse_args().readers)
    found = list(vectors())
    outcomes = {name: run(reader, found, name in ("native", "pure")) for name, reader in chosen.items()}
    print(table(outcomes, len(found)))
    return int(any(each.differences for each in outcomes.values()) or not found)


if __name__ == "__main__":
    raise SystemExit(main())
