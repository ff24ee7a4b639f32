"""Titles of layouts in tables, pages, JSON, errors and documentation."""

from __future__ import annotations

from collections.abc import Collection

_POSITIONS = {"bitmap": "bitmap", "all": ""}
# What the values of all weights are, and those of nonzeros alone; cluster indices are what is usual there.
_VALUES = {"codebook": "palette", "planes": "byte planes", "bytes": "dense"}
_SPARSE_VALUES = {"codebook": "", "planes": "byte planes", "bytes": "whole values"}
_CODERS = {"huffman": "Huffman", "zstd": "zstd"}


def positions_title(positions: str) -> str:
    """Return the title of positions.

    >>> positions_title("relative8"), positions_title("bitmap")
    ('CSR, 8-bit gaps', 'bitmap')
    """
    if positions.startswith("relative"):
        return f"CSR, {positions.removeprefix('relative')}-bit gaps"
    return _POSITIONS[positions]


def layout_title(positions: str, values: str, codes: Collection[str] = ()) -> str:
    """Return the title of a layout, with the coders that its streams use.

    >>> layout_title("relative8", "codebook", ["huffman", "packed"])
    'CSR, 8-bit gaps + Huffman'
    >>> layout_title("all", "codebook"), layout_title("all", "bytes", ["zstd"]), layout_title("bitmap", "planes")
    ('palette', 'dense + zstd', 'bitmap, byte planes')
    """
    where = positions_title(positions)
    what = (_SPARSE_VALUES if where else _VALUES)[values]
    coders = [title for kind, title in _CODERS.items() if kind in codes]
    return " + ".join([", ".join(part for part in (where, what) if part), *coders])
