"""Loops over bits. One interface, several kernel sets with the same bytes out; nobody else knows which.

`DCZ_KERNELS` forces one: `pure`, `portable`, `avx2` or `avx512`. Without it the fastest is taken, and
where the install found no C++ compiler, the pure one, which says so once.
"""

from dcz.kernels.interface import Columns, KernelError, Kernels, Scan, Status
from dcz.kernels.selection import active, available, use

__all__ = ["Columns", "KernelError", "Kernels", "Scan", "Status", "active", "available", "use"]
