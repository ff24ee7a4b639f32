"""Files that every reader refuses: each breaks one rule of SPEC, and all of its checksums fit."""

from __future__ import annotations

from collections.abc import Iterator

from making import invalid_file, invalid_index, invalid_rows, invalid_words
from making.vectors import Vector


def vectors() -> Iterator[Vector]:
    """All of them."""
    yield from invalid_file.frame_of_the_file()
    yield from invalid_file.msgpack_and_keys()
    yield from invalid_index.columns()
    yield from invalid_index.numbers()
    yield from invalid_index.maps()
    yield from invalid_rows.rows()
    yield from invalid_rows.positions_and_values()
    yield from invalid_words.books()
    yield from invalid_words.based()
