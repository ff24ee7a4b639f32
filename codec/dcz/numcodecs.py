"""The codec of numcodecs, for zarr arrays of format 2 and whatever else keeps chunks with numcodecs.

    zarr.create_array(store, shape=..., dtype=..., zarr_format=2, compressors=dcz.numcodecs.Dcz())

Arrays of zarr's format 3 take `dcz.zarr.Dcz`.
"""

from __future__ import annotations

import numpy as np

try:
    from numcodecs.abc import Codec
    from numcodecs.compat import ensure_contiguous_ndarray
except ImportError:
    raise ImportError("dcz.numcodecs needs numcodecs; install it: pip install 'dcz[numcodecs]'") from None

from dcz import dtypes
from dcz.api import save
from dcz.container import Reader
from dcz.errors import DczError, FormatError, UnsupportedError
from dcz.tensor.choose import check_profile

# The one tensor of a chunk: any reader of dcz files opens it.
NAME = "chunk"


class Dcz(Codec):
    """Chunks as dcz files of one tensor, bit for bit and as small as their values allow.

    Pruned and clustered weights (Han, Mao, Dally, ICLR 2016) shrink most; others shrink by what the bytes of their
    floats have in common, and none gets bigger by more than about 300 bytes.

    Args:
        profile: "auto" takes the smallest layout of each chunk; "csr", "bitmap", "dense", "paper" and "raw"
            restrict it.

    >>> import numcodecs, numpy
    >>> codec = numcodecs.get_codec({"id": "dcz", "profile": "auto"})
    >>> stored = codec.encode(numpy.arange(10_000) % 5)
    >>> len(stored) < 10_000, codec.decode(stored)[:7]
    (True, array([0, 1, 2, 3, 4, 0, 1]))
    """

    codec_id = "dcz"

    def __init__(self, profile: str = "auto") -> None:
        check_profile(profile)
        self.profile = profile

    def encode(self, buf: object) -> bytes:
        """A chunk, which is contiguous, in the order of its memory. Raises `TypeError` for arrays of objects."""
        return pack(ensure_contiguous_ndarray(buf), self.profile)

    def decode(self, buf: object, out: object = None) -> np.ndarray:
        """The chunk's elements, one after the other; in `out`, if that is given, which has room for exactly them.

        Raises `FormatError`, `ChecksumError`, `TruncatedError` and so on: see `dcz.errors`."""
        data = ensure_contiguous_ndarray(buf).view(np.uint8)
        if out is None:
            return unpack(data)
        target = ensure_contiguous_ndarray(out).view(np.uint8)
        unpack(data, target)
        return out  # type: ignore[return-value]


def pack(array: np.ndarray, profile: str) -> bytes:
    """A chunk of any dtype without objects: the bytes in memory are what is kept."""
    return save({NAME: array.reshape(-1).view(_stored(array.dtype))}, profile=profile, threads=1)


def _stored(dtype: np.dtype) -> np.dtype:
    """What a dcz file can hold of the same bytes: complex numbers as their parts, unknown things as bytes."""
    if dtype.name == "complex128":
        return np.dtype("<f8")
    try:
        dtypes.by_numpy(dtype, NAME)
    except UnsupportedError:
        return np.dtype(np.uint8)
    return dtype.newbyteorder("<")


def unpack(data: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """The one tensor of a chunk, decoded into the bytes `out` if they are given."""
    with Reader(memoryview(data)) as reader:
        if list(reader) != [NAME]:
            raise FormatError(
                f"chunk: expected one tensor named {NAME!r}, found {list(reader)!r:.80}; this is no zarr chunk"
            )
        if out is None:
            return reader[NAME]
        info = reader.info(NAME)
        if info.nbytes != out.nbytes:
            raise DczError(f"out: expected room for {info.nbytes} bytes, found {out.nbytes}")
        dtype = dtypes.DTYPES[info.dtype].numpy()
        if not out.flags.writeable or out.ctypes.data % dtype.alignment:
            out[...] = reader[NAME].reshape(-1).view(np.uint8)
            return out
        return reader.get_tensor(NAME, out=out.view(dtype).reshape(info.shape))
