"""Transforms: how a tensor is made of the base's, and which one a dtype takes (SPEC, Deltas)."""

from __future__ import annotations

from dataclasses import replace

from dcz.dtypes import Dtype
from dcz.errors import UnsupportedError

# As the file numbers them. A tensor of transform NONE is stored whole, one of COPY is the base's.
NONE, COPY, STEP, XOR, REPLACE = range(5)
NAMES = {NONE: "whole", COPY: "copy", STEP: "step", XOR: "xor", REPLACE: "replace"}

# Values of writers' `transform=`.
CHOICES = ("auto", "step", "xor", "replace")

# Floats whose sign is the highest bit of the word: the bits below it ascend with the magnitude.
_MAGNITUDE = frozenset(
    ("F16", "BF16", "F32", "F64", "C64", "C128", "F8_E5M2", "F8_E4M3", "F8_E5M2FNUZ", "F8_E4M3FNUZ")
    + ("F8_E4M3_IEEE", "F8_E3M4", "F8_E4M3B11FNUZ")
)


def magnitude(dtype: Dtype) -> bool:
    """Return whether words are sign and magnitude, which steps map to an order first. Steps take other words as
    integers."""
    return dtype.code in _MAGNITUDE


def check_choice(transform: str) -> None:
    if transform not in CHOICES:
        raise UnsupportedError(f"transform: {transform!r} is unknown; expected one of {', '.join(CHOICES)}")


def chosen(transform: str, dtype: Dtype) -> int:
    """Return the number of a transform; `auto` is XOR for truth values and steps for the rest: the smallest for 32 of
    33 real pairs of checkpoints."""
    if transform == "auto":
        return XOR if dtype.code == "BOOL" else STEP
    return {"step": STEP, "xor": XOR, "replace": REPLACE}[transform]


def stored_dtype(dtype: Dtype, transform: int) -> Dtype:
    """Return the dtype by which stored words split into bytes: steps and XORs have no exponent to rotate to the top."""
    return replace(dtype, rotate=False) if transform in (STEP, XOR) else dtype
