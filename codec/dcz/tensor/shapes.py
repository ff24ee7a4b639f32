"""Shapes that files of any format state: their bounds."""

from __future__ import annotations

from collections.abc import Iterable

from dcz import limits
from dcz.errors import FormatError, LimitError


def check_shape(shape: Iterable[object], where: str, itemsize: int = 1) -> tuple[int, ...]:
    """Check and return a shape. Raises `FormatError` for invalid lengths, `LimitError` for too many or too large ones.

    The product of the lengths that are not zero is bounded, so that no intermediate size overflows."""
    lengths = tuple(shape)
    if len(lengths) > limits.MAX_DIMENSIONS:
        raise LimitError(f"{where}: {len(lengths)} dimensions; the limit is {limits.MAX_DIMENSIONS}")
    bound = max(itemsize, 1)
    for n in lengths:
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise FormatError(
                f"{where}: shape {list(lengths)!r:.80} has lengths that are not integers of at least zero"
            )
        bound *= n or 1
        if bound > limits.MAX_WORDS:
            raise LimitError(
                f"{where}: shape {list(lengths)!r:.80} takes more than {limits.MAX_WORDS} bytes; is the file damaged?"
            )
    return lengths  # type: ignore[return-value]
