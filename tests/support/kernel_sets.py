"""The kernel sets of this install that this machine runs."""

from __future__ import annotations

from dcz import kernels

KERNEL_SETS = tuple(kernels.available())
NATIVE_SETS = tuple(name for name in KERNEL_SETS if name != "pure")
