"""Random files after SPEC.md, read by every reader: `python spec/generate.py COUNT [READER...]`.

Makes COUNT valid files, as many that break one rule, and as many with a stored bit changed under repaired checksums;
compares what readers print (see `conformance.py`) with what is expected, of the last with each other. Files on which
readers differ are kept. The same seed makes the same files.

    python spec/generate.py 20000                   # what is run before a release
    python spec/generate.py 100 --seed 7 'path/to/dcz-cat --json'
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance import Lines, Reader, compare, readers
from making.generated import Made
from making.violated import repaired, violated

Case = tuple[str, bytes, bytes, "dict[str, Any] | None"]


def cases(seed: int) -> Iterator[Case]:
    """For a seed: the kind of a file, the file, its base, and what is expected of it."""
    made = Made(seed)
    expected = {"tensors": made.lines, **({"base": "base"} if made.base else {})}
    yield "valid", made.data, made.base, expected
    data, base, error = violated(seed)
    yield "violated", data, base, {"error": error, "requirement": []}
    yield "repaired", *repaired(seed), None


def summary(lines: Lines) -> Any:
    """What readers must agree on: tensors with their checksums, or the class of the error."""
    error = next((line["error"] for line in lines if "error" in line), None)
    return error or [{**line, "unsupported": "unsupported" in line} for line in lines]


def difference(case: Case, by_name: dict[str, Reader], folder: Path) -> str:
    """What readers make of a case that they must not; nothing if nothing is."""
    _, data, base, expected = case
    path, base_path = folder / "file.dcz", folder / "base.dcz"
    path.write_bytes(data)
    base_path.write_bytes(base)
    found = {name: read(str(path), str(base_path) if base else None) for name, read in by_name.items()}
    if expected is not None:
        wrong = {name: compare(expected, lines) for name, lines in found.items()}
        return "; ".join(f"{name}: {what}" for name, what in wrong.items() if what and what != "left out")
    outcomes = [summary(lines) for lines in found.values() if not refuses_frame(lines)]
    return "" if all(other == outcomes[0] for other in outcomes) else f"readers differ: {found!r:.1000}"


def refuses_frame(lines: Lines) -> bool:
    """Whether a damaged zstd frame is what a reader refuses: libraries of zstd differ in which they notice, and the
    others find by its CRC-32C whether the content is right (SPEC 5.4)."""
    errors = [line for line in lines if "error" in line]
    return any(e["error"] == "format" and ("zstd" in e["message"] or "R-CODE-7" in e["message"]) for e in errors)


def main() -> int:
    """Runs the readers of the command line."""
    parser = argparse.ArgumentParser(description="Compare readers of dcz files on generated files.")
    parser.add_argument("count", type=int)
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--keep", type=Path, default=Path("differences"), help="where files go that readers differ on")
    options = parser.parse_args()
    chosen = readers(options.readers or ["native", "pure", "reference"])
    begin, differences, sizes = time.perf_counter(), 0, {"valid": 0, "violated": 0, "repaired": 0}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seed, options.seed + options.count):
            for case in cases(seed):
                kind, data, base, _ = case
                sizes[kind] += len(data)
                what = difference(case, chosen, Path(folder))
                if what:
                    differences += 1
                    options.keep.mkdir(exist_ok=True)
                    (options.keep / f"{kind}-{seed}.dcz").write_bytes(data)
                    (options.keep / f"{kind}-{seed}-base.dcz").write_bytes(base)
                    print(f"{kind} {seed}: {what}")
    seconds = time.perf_counter() - begin
    print(f"{options.count} files of each kind from seed {options.seed}, {sizes} bytes, {', '.join(chosen)}: ", end="")
    print(f"{differences} differences, {seconds:.0f} s")
    return int(differences > 0)


if __name__ == "__main__":
    raise SystemExit(main())
