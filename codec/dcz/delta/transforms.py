"""How a tensor is made of that of the base: which transforms there are, and which a dtype takes (SPEC, Deltas)."""

from __future__ import annotations

from dataclasses import replace

from dcz.dtypes import Dtype
from dcz.errors import UnsupportedError

# As the file numbers them. A tensor of transform NONE is stored whole, one of COPY is the base's.
NONE, COPY, STEP, XOR, REPLACE = range(5)
NAMES = {NONE: "whole", COPY: "copy", STEP: "step", XOR: "xor", REPLACE: "replace"}

# What `transform=` of those that write may be.
CHOICES = ("auto", "step", "xor", "replace")

# Floats whose sign is the highest bit of the word: the bits below it ascend with the magnitude.
_MAGNITUDE = frozenset(
    ("F16", "BF16", "F32", "F64", "C64", "C128", "F8_E5M2", "F8_E4M3", "F8_E5M2FNUZ", "F8_E4M3FNUZ")
    + ("F8_E4M3_IEEE", "F8_E3M4", "F8_E4M3B11FNUZ")
)


def magnitude(dtype: Dtype) -> bool:
    """Whether a word is a sign and a magnitude, which a step orders first; other words are integers to it."""
    return dtype.code in _MAGNITUDE


def check_choice(transform: str) -> None:
    if transform not in CHOICES:
        raise UnsupportedError(f"transform: {transform!r} is unknown; expected one of {', '.join(CHOICES)}")


def chosen(transform: str, dtype: Dtype) -> int:
    """The number of a transform; `auto` takes steps, the smallest of real pairs of checkpoints in 32 of 33 cases, and
    XOR of truth values."""
    if transform == "auto":
        return XOR if dtype.code == "BOOL" else STEP
    return {"step": STEP, "xor": XOR, "replace": REPLACE}[transform]


def stored_dtype(dtype: Dtype, transform: int) -> Dtype:
    """How what is stored splits into bytes: steps and XORs have no exponent that would have to be rotated on top."""
    return replace(dtype, rotate=False) if transform in (STEP, XOR) else dtype
