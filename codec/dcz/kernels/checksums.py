"""CRC-32C of bytes whose parts' checksums are known, without the bytes."""

from __future__ import annotations

from functools import cache, lru_cache

_POLYNOMIAL = 0x82F63B78  # reflected: bit 31 is the factor of x^0
_ONE = 1 << 31


def combine(first: int, second: int, size: int) -> int:
    """The CRC-32C of two byte strings one after another, from that of each and the `size` in bytes of the second.

    Appending n bytes multiplies a checksum by x^(8 n) modulo the polynomial.

    >>> from dcz import kernels; import numpy as np
    >>> crc = lambda data: kernels.active().crc32c(np.frombuffer(data, np.uint8))
    >>> combine(crc(b"1234"), crc(b"56789"), 5) == crc(b"123456789") == 0xE3069283
    True
    """
    return _times(first, _power(size)) ^ second


def _times(a: int, b: int) -> int:
    """The product of two polynomials, modulo the polynomial."""
    out = 0
    while a:
        if a & _ONE:
            out ^= b
        a = a << 1 & 0xFFFFFFFF
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return out


@cache
def _square(n: int) -> int:
    """x^(8 * 2^n)."""
    return _ONE >> 8 if n == 0 else _times(_square(n - 1), _square(n - 1))


@lru_cache(64)
def _power(size: int) -> int:
    """x^(8 * size)."""
    out, n = _ONE, 0
    while size >> n:
        if size >> n & 1:
            out = _times(out, _square(n))
        n += 1
    return out
