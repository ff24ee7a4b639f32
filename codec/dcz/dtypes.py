"""Element types: safetensors' codes, their numpy types, and the words they are stored as (SPEC 2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from dcz.errors import FormatError, UnsupportedError


@dataclass(frozen=True, slots=True)
class Dtype:
    """One element type.

    A *word* is what the codec works on: `word` bytes of bit pattern. A complex element is two words.
    `rotate` says that words are floats of at least two bytes, which are split into byte planes with
    the exponent in the top byte. `bits` is how many of a word's bits may be set: types narrower than a byte
    store one element a byte, in its low bits. Of a dtype that this version does not know, `word` and `words` are 0.
    """

    code: str
    name: str
    word: int
    words: int
    rotate: bool
    bits: int

    @property
    def known(self) -> bool:
        """Whether this version can make an array of it."""
        return self.word > 0

    @property
    def itemsize(self) -> int:
        """Bytes of one element in memory."""
        return self.word * self.words

    @property
    def in_numpy(self) -> bool:
        """Whether numpy has this type itself, without `ml_dtypes`."""
        return self.name not in _EXTENDED

    def numpy(self) -> np.dtype:
        """The little-endian numpy type; `ml_dtypes` is imported for those that numpy lacks."""
        return _numpy(self.name)


@cache
def _numpy(name: str) -> np.dtype:
    if name not in _EXTENDED:
        return np.dtype(name).newbyteorder("<")
    import ml_dtypes

    scalar = getattr(ml_dtypes, name, None)
    if scalar is None:
        raise UnsupportedError(f"dtype {name}: this version of ml_dtypes lacks it; update ml_dtypes")
    return np.dtype(scalar)


_EXTENDED = frozenset(
    ("bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz", "float8_e8m0fnu")
    + ("float8_e4m3", "float8_e3m4", "float8_e4m3b11fnuz")
    + ("float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn", "int4", "uint4", "int2", "uint2")
)

DTYPES = {
    dtype.code: dtype
    for dtype in (
        Dtype("BOOL", "bool", 1, 1, False, 8),
        Dtype("I2", "int2", 1, 1, False, 2),
        Dtype("U2", "uint2", 1, 1, False, 2),
        Dtype("I4", "int4", 1, 1, False, 4),
        Dtype("U4", "uint4", 1, 1, False, 4),
        Dtype("F4", "float4_e2m1fn", 1, 1, False, 4),
        Dtype("F6_E2M3", "float6_e2m3fn", 1, 1, False, 6),
        Dtype("F6_E3M2", "float6_e3m2fn", 1, 1, False, 6),
        Dtype("U8", "uint8", 1, 1, False, 8),
        Dtype("I8", "int8", 1, 1, False, 8),
        Dtype("F8_E5M2", "float8_e5m2", 1, 1, False, 8),
        Dtype("F8_E4M3", "float8_e4m3fn", 1, 1, False, 8),
        Dtype("F8_E8M0", "float8_e8m0fnu", 1, 1, False, 8),
        Dtype("F8_E4M3FNUZ", "float8_e4m3fnuz", 1, 1, False, 8),
        Dtype("F8_E5M2FNUZ", "float8_e5m2fnuz", 1, 1, False, 8),
        Dtype("F8_E4M3_IEEE", "float8_e4m3", 1, 1, False, 8),
        Dtype("F8_E3M4", "float8_e3m4", 1, 1, False, 8),
        Dtype("F8_E4M3B11FNUZ", "float8_e4m3b11fnuz", 1, 1, False, 8),
        Dtype("I16", "int16", 2, 1, False, 16),
        Dtype("U16", "uint16", 2, 1, False, 16),
        Dtype("F16", "float16", 2, 1, True, 16),
        Dtype("BF16", "bfloat16", 2, 1, True, 16),
        Dtype("I32", "int32", 4, 1, False, 32),
        Dtype("U32", "uint32", 4, 1, False, 32),
        Dtype("F32", "float32", 4, 1, True, 32),
        Dtype("C64", "complex64", 4, 2, True, 32),
        Dtype("F64", "float64", 8, 1, True, 64),
        Dtype("I64", "int64", 8, 1, False, 64),
        Dtype("U64", "uint64", 8, 1, False, 64),
        Dtype("C128", "complex128", 8, 2, True, 64),
    )
}

_BY_NAME = {dtype.name: dtype for dtype in DTYPES.values()}


def unknown(code: str) -> Dtype:
    """A dtype that a file names and this version does not know."""
    return Dtype(code, "", 0, 0, False, 0)


def by_code(code: str, field: str) -> Dtype:
    """The dtype of this code; `field` is where it stands, for the error."""
    try:
        return DTYPES[code]
    except (KeyError, TypeError):
        raise FormatError(f"{field}: unknown dtype {code!r}; expected one of {', '.join(DTYPES)}") from None


def by_numpy(dtype: np.dtype, field: str) -> Dtype:
    """The dtype of an array to be stored, in either byte order."""
    found = _by_numpy(dtype)
    if found is None:
        raise UnsupportedError(
            f"{field}: dtype {dtype} cannot be stored; expected one of {', '.join(DTYPES)}. "
            "Convert the array, or view it as one of them"
        )
    return found


@lru_cache(256)
def _by_numpy(dtype: np.dtype) -> Dtype | None:
    """The same, or None. numpy takes microseconds to name a dtype."""
    return None if dtype.hasobject or dtype.fields is not None else _BY_NAME.get(dtype.name)
