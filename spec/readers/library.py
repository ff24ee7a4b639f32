"""The library as a reader of the conformance protocol: `python spec/readers/library.py FILE [--base BASE]`.

`DCZ_KERNELS` chooses the kernel set, as everywhere.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

import dcz
from dcz import errors, kernels

CLASSES = {
    errors.ChecksumError: "checksum",
    errors.TruncatedError: "truncated",
    errors.UnsupportedError: "unsupported",
    errors.LimitError: "limit",
    errors.BaseError: "base",
    errors.FormatError: "format",
}


def lines(file: str, base: str | None = None) -> list[dict[str, Any]]:
    """What the protocol prints of a file; of one that is refused, only that."""
    try:
        if base is None:
            dcz.verify(file)
            with dcz.open(file) as reader:
                return [_line(reader, name) for name in reader]
        with dcz.open(base) as tensors:
            dcz.verify(file, base=tensors)
            with dcz.open(file, base=tensors) as reader:
                return [_line(reader, name) for name in reader]
    except dcz.DczError as error:
        kind = next(name for kind, name in CLASSES.items() if isinstance(error, kind))
        return [{"error": kind, "message": str(error)}]


def _line(reader: Any, name: str) -> dict[str, Any]:
    try:
        array = reader[name]
    except errors.UnsupportedError as error:
        return {"name": name, "unsupported": str(error)}
    info = reader.info(name)
    crc = kernels.active().crc32c(np.frombuffer(array.tobytes(), np.uint8))
    return {"name": name, "dtype": info.dtype, "shape": list(info.shape), "content_crc32c": f"{crc:08x}"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the tensors of a dcz file as lines of JSON.")
    parser.add_argument("file")
    parser.add_argument("--base")
    options = parser.parse_args()
    found = lines(options.file, options.base)
    print("\n".join(json.dumps(line) for line in found))
    raise SystemExit("error" in found[-1] if found else 0)
