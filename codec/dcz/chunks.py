"""Chunks of arrays as the codecs of numcodecs and zarr store them: a dcz file of one tensor, or a short frame.

A dcz file has a trailer and an index of about 450 bytes, which a chunk of a few kilobytes does not earn back. If the
profile is "auto", a chunk of up to 8 KiB is a short frame instead:

    offset  bytes
    0       1      0xDC; a dcz file begins with 0x89
    1       1      flags: 1 if the elements are one zstd frame that states its size, and not raw bytes; 2 if the chunk's
                   own byte order is big-endian; the other bits are zero
    2       1      dtype: 0 for bytes, else one more than its place in `CODES`
    3       2      bytes of the elements, little-endian, at most 8,192
    5       2      n, the bytes they are stored in, little-endian
    7       n      the elements in little-endian byte order, raw or as zstd
    7 + n   4      CRC-32C of all bytes before it, little-endian

This is a framing of the codecs. It is not a dcz file, and `dcz.open` refuses it."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz import dtypes, kernels
from dcz.api import save
from dcz.container.reader import Reader
from dcz.entropy import zstd
from dcz.errors import ChecksumError, DczError, FormatError, TruncatedError, UnsupportedError
from dcz.text import plural

# The one tensor of a chunk that is a dcz file, and its metadata where the chunk's own byte order is big-endian.
NAME = "chunk"
_BIG = {"byteorder": ">"}

SHORT_BYTES = 8192
_MAGIC, _ZSTD, _SWAPPED = 0xDC, 1, 2
_HEAD, _CRC = struct.Struct("<BBBHH"), struct.Struct("<I")
_LEVEL = 6  # higher ones gain under 1 % of 8 KiB

# Dtypes of short frames by their number. Never reordered: append.
CODES = (
    "BOOL", "U8", "I8", "U16", "I16", "F16", "BF16", "U32", "I32", "F32", "C64", "U64", "I64", "F64",
    "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F4", "F6_E2M3", "F6_E3M2",
)  # fmt: skip


def pack(array: NDArray[Any], profile: str) -> bytes:
    """Pack a contiguous chunk of any dtype without objects, in the order of its memory.

    >>> import numpy
    >>> unpack(pack(numpy.arange(3, dtype=">i4"), "auto"))
    array([0, 1, 2], dtype='>i4')
    """
    flat = array.reshape(-1)
    big = flat.dtype.str[0] == ">" and flat.dtype.names is None
    kept = flat.view(_stored(flat.dtype))
    if big and kept.dtype != np.uint8:
        kept = kept.byteswap()
    big = big and kept.dtype != np.uint8
    if profile == "auto" and kept.nbytes <= SHORT_BYTES:
        return _short(kept, big)
    return save({NAME: kept}, _BIG if big else None, profile=profile, threads=1)


def _stored(dtype: np.dtype) -> np.dtype:
    """Return a dtype that a dcz file can hold for the same bytes: the parts of complex numbers, else bytes."""
    if dtype.name == "complex128":
        return np.dtype("<f8")
    try:
        dtypes.by_numpy(dtype, NAME)
    except UnsupportedError:
        return np.dtype(np.uint8)
    return dtype.newbyteorder("<")


def _short(kept: NDArray[Any], big: bool) -> bytes:
    raw = kept.view(np.uint8)
    packed = zstd.compress(raw, _LEVEL)
    flags = (_ZSTD if len(packed) < len(raw) else 0) | (_SWAPPED if big else 0)
    code = dtypes.by_numpy(kept.dtype, NAME).code
    number = CODES.index(code) + 1 if code in CODES else 0
    payload = packed if flags & _ZSTD else raw.tobytes()
    body = _HEAD.pack(_MAGIC, flags, number, len(raw), len(payload)) + payload
    return body + _CRC.pack(_crc(np.frombuffer(body, np.uint8)))


def _crc(data: NDArray[np.uint8]) -> int:
    return int(kernels.active().crc32c(data))


def unpack(data: NDArray[np.uint8], out: NDArray[np.uint8] | None = None, dtype: np.dtype | None = None,
           nbytes: int | None = None) -> NDArray[Any]:  # fmt: skip
    """Return the elements of a chunk in its own byte order, decoded into the bytes `out` if they are given.

    Args:
        data: the stored chunk, or bytes.
        out: exactly the chunk's bytes.
        dtype: of the array that the chunk belongs to; another one in the chunk is refused.
        nbytes: how many bytes the array expects; a chunk of more or fewer is refused before anything is decoded.

    Raises:
        FormatError, ChecksumError, TruncatedError: a chunk that is damaged, or of another array.
        DczError: `out` of another size.
    """
    view = np.frombuffer(data, np.uint8)
    if len(view) and view[0] == _MAGIC:
        found = _unpack_short(view)
        _check(found.dtype, found.nbytes, dtype, nbytes, out)
        if out is None:
            return found
        out[...] = found.view(np.uint8)
        return out
    with Reader(view.data) as reader:
        if list(reader) != [NAME]:
            raise FormatError(
                f"chunk: expected one tensor named {NAME!r}, found {list(reader)!r:.80}; this is not a zarr chunk"
            )
        info, big = reader.info(NAME), reader.metadata == _BIG
        stored = dtypes.DTYPES[info.dtype].numpy()
        _check(stored.newbyteorder(">") if big else stored, info.nbytes, dtype, nbytes, out)
        if out is None:
            found = reader[NAME].reshape(-1)
            return found.byteswap().view(stored.newbyteorder(">")) if big else found
        if big or not out.flags.writeable or out.ctypes.data % stored.alignment:
            found = reader[NAME].reshape(-1)
            out[...] = (found.byteswap() if big else found).view(np.uint8)
            return out
        return reader.get_tensor(NAME, out=out.view(stored).reshape(info.shape))


def _check(
    found: np.dtype, size: int, dtype: np.dtype | None, nbytes: int | None, out: NDArray[np.uint8] | None
) -> None:
    if dtype is not None and found.newbyteorder("<") != _stored(dtype):
        raise FormatError(f"chunk: holds elements of {found.name}, the array has {dtype}; it is of another array")
    if nbytes is not None and size != nbytes:
        raise FormatError(f"chunk: holds {size} bytes, the array expects {nbytes}; it is of another array")
    if out is not None and size != out.nbytes:
        raise DczError(f"out: expected room for {plural(size, 'byte')}, found {out.nbytes}")


def _unpack_short(view: NDArray[np.uint8]) -> NDArray[Any]:
    least = _HEAD.size + _CRC.size
    stated = least + (_HEAD.unpack_from(view.data)[-1] if len(view) >= _HEAD.size else 0)
    if len(view) < stated:
        raise TruncatedError(
            f"chunk: the frame has {plural(stated, 'byte')} or more, found {len(view)}; fetch the chunk again"
        )
    if len(view) > stated:
        raise FormatError(f"chunk: the frame has {plural(stated, 'byte')}, found {len(view)}; remove what follows it")
    body = view[: -_CRC.size]
    if _crc(body) != _CRC.unpack(view[-_CRC.size :].tobytes())[0]:
        raise ChecksumError("chunk: the bytes do not match their CRC-32C; fetch the chunk again")
    _, flags, number, size, _ = _HEAD.unpack_from(body.data)
    if flags & ~(_ZSTD | _SWAPPED) or number > len(CODES):
        raise UnsupportedError(f"chunk: flags {flags:#04x} or dtype {number} is unknown; update dcz")
    stored = dtypes.DTYPES[CODES[number - 1]].numpy() if number else np.dtype(np.uint8)
    if size > SHORT_BYTES or size % stored.itemsize:
        raise FormatError(f"chunk: size {size} is over {SHORT_BYTES} or not a multiple of {stored.itemsize}")
    payload = body[_HEAD.size :]
    if flags & _ZSTD:
        raw = np.frombuffer(bytearray(zstd.decompress(payload.tobytes(), size, "chunk")), np.uint8)
    elif len(payload) == size:
        raw = payload.copy()
    else:
        raise FormatError(f"chunk: {len(payload)} raw bytes, its head states {size}")
    found = raw.view(stored)
    return found.byteswap().view(stored.newbyteorder(">")) if flags & _SWAPPED else found
