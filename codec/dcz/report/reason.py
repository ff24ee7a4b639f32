"""The reason for the choice of `auto`, in one phrase made of the sizes that it compared."""

from __future__ import annotations

from dcz.report.sizes import Sizes
from dcz.text import plural

_NAMES = {"relative8": "CSR", "bitmap": "bitmap", "all": "palette"}


def phrase(sizes: Sizes) -> str:
    """Short enough for a table's last column."""
    chosen = sizes.profiles["auto"]
    if sizes.words == 0:
        return "no weights"
    if sizes.nonzeros == 0:
        return "all zeros"
    if chosen.values == "bytes":
        return "repeats, which zstd finds" if "zstd" in chosen.codes else "nothing is smaller than dense"
    if sizes.nonzeros == sizes.words:
        return "no zeros; " + ("clustered" if chosen.values == "codebook" else _planes(sizes))
    others = {kind: sizes.huffman[kind].total for kind in _NAMES if kind != chosen.positions}
    kind = min(others, key=lambda key: others[key])
    less = 100 * (1 - chosen.size.total / others[kind]) if others[kind] else 0.0
    zstd = ", with zstd" if "zstd" in chosen.codes else ""
    if less < 0.05:  # the index decides
        return f"level with {_NAMES[kind]}, less index{zstd}"
    return f"{less:.1f}% below {_NAMES[kind]}{zstd}"


def _planes(sizes: Sizes) -> str:
    if sizes.words and sizes.dense == sizes.words:
        return "one-byte values"
    many = "too many values to cluster" if sizes.distinct is None else plural(sizes.distinct, "distinct value")
    return f"{many}; bytes coded"
