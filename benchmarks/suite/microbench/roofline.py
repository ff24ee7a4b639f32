"""What memory can do at most, measured in the process that is compared with it."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from benchmarks.suite.microbench.compiled import NATIVE, compile_shared, load

LINES = {
    "nontemporal": "non-temporal writes, warm: the write limit",
    "copy": "memcpy, both sides warm",
    "first_touch_huge": "first touch of fresh huge pages",
    "first_touch_small": "first touch of fresh small pages",
}
_ROUNDS = 3


def build(folder: Path) -> Path:
    """The compiled helper in `folder`."""
    return compile_shared(folder / "roofline.so", [NATIVE / "roofline.c"])


class Roofline:
    """Bandwidths in bytes a second, over buffers of `size` bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self._library = load(path)
        for name in ("nontemporal", "copy", "first_touch"):
            getattr(self._library, name).restype = ctypes.c_double
        self._size = size // 4096 * 4096
        self._out, self._in = (self._buffer() for _ in range(2))

    def _buffer(self) -> np.ndarray:
        from dcz.container.memory import fresh  # on huge pages, as dcz's outputs are

        buffer = fresh(self._size + 64)
        buffer = buffer[-buffer.ctypes.data % 64 :][: self._size]
        buffer[:] = 1
        return buffer

    def measure(self) -> dict[str, float]:
        """The best of a few runs of each: a limit is what can be reached."""
        size = ctypes.c_size_t(self._size)
        out, source = (ctypes.c_void_p(b.ctypes.data) for b in (self._out, self._in))
        runs = {
            "nontemporal": lambda: self._library.nontemporal(out, size),
            "copy": lambda: self._library.copy(out, source, size),
            "first_touch_huge": lambda: self._library.first_touch(size, 1),
            "first_touch_small": lambda: self._library.first_touch(size, 0),
        }
        return {name: self._size / min(run() for _ in range(_ROUNDS)) for name, run in runs.items()}
