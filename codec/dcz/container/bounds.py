"""One bound on memory and work of reading, checked on every path before anything is allocated.

Two things are counted. *Memory*: the bytes that a call returns, and the codebooks and kernel scratch that decoding
needs beside them; `limits.WORKING_BYTES` of the latter are free. *Work*: the bytes that are decoded, kept or not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dcz import limits
from dcz.errors import DczError, LimitError


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound for a file of `file_bytes`, where the caller allows `max_bytes`, or None for the default. `held` are
    bytes of a base that the caller has in memory, or could have: a result may take twice that beside what the file may
    expand to."""

    file_bytes: int
    max_bytes: int | None = None
    held: int = 0

    def __post_init__(self) -> None:
        if self.max_bytes is not None and (type(self.max_bytes) is not int or self.max_bytes < 0):
            raise DczError(f"max_bytes: expected a number of bytes or None, found {self.max_bytes!r:.80}")

    def replaced(self, max_bytes: int | None) -> Bound:
        """Return the bound of one call, which may have its own `max_bytes`."""
        return self if max_bytes is None else replace(self, max_bytes=max_bytes)

    @property
    def memory(self) -> int:
        """Return how many bytes a call may hold."""
        if self.max_bytes is not None:
            return self.max_bytes
        return limits.default_max_bytes(self.file_bytes, 2 * self.held)

    @property
    def work(self) -> int:
        """Return how many bytes a call may decode: no less than a file may expand to by default. A small `max_bytes`
        bounds memory, and must not keep a column of a large matrix from being read."""
        return max(limits.max_expansion(self.file_bytes) + 2 * self.held, self.max_bytes or 0)

    def check_memory(self, result: int, scratch: int = 0) -> None:
        """Refuse a call that returns `result` bytes and needs `scratch` beside them."""
        needed = result + max(0, scratch - limits.WORKING_BYTES)
        if needed > self.memory:
            raise _refusal(needed, self.memory)

    def check_work(self, decoded: int) -> None:
        """Refuse a call that decodes this many bytes."""
        if decoded > self.work:
            raise _refusal(decoded, self.work)


def _refusal(needed: int, allowed: int) -> LimitError:
    return LimitError(
        f"decoding needs {needed} bytes; the limit is {allowed}; if the file is trusted, pass max_bytes={needed}"
    )
