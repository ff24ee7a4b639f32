"""The codec of numcodecs, for zarr arrays of format 2 and whatever else keeps chunks with numcodecs.

    zarr.create_array(store, shape=..., dtype=..., zarr_format=2, compressors=dcz.numcodecs.Dcz())

Arrays of zarr's format 3 take `dcz.zarr.Dcz`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dcz.extras import require

require("numcodecs", "numcodecs", "dcz.numcodecs")

from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray

from dcz.chunks import NAME, pack, unpack
from dcz.errors import DczError
from dcz.tensor.choose import PROFILES

__all__ = ["NAME", "Dcz", "pack", "unpack"]


class Dcz(Codec):
    """Chunks as dcz files of one tensor, bit for bit and as small as their values allow; chunks of up to 8 KiB as short
    frames (see `dcz.chunks`).

    Pruned and clustered weights (Han, Mao, Dally, ICLR 2016) shrink most; others shrink by what the bytes of their
    floats have in common, and none gets bigger by more than 350 bytes, those of up to 8 KiB by 11.

    Args:
        profile: "auto" takes the smallest layout of each chunk; "csr", "bitmap", "dense", "paper" and "raw"
            restrict it, and make every chunk a dcz file.

    Raises:
        DczError: a profile that is unknown or not a string.

    >>> import numcodecs, numpy
    >>> codec = numcodecs.get_codec({"id": "dcz", "profile": "auto"})
    >>> stored = codec.encode(numpy.arange(10_000) % 5)
    >>> len(stored) < 10_000, codec.decode(stored)[:7]
    (True, array([0, 1, 2, 3, 4, 0, 1]))
    """

    codec_id = "dcz"

    def __init__(self, profile: str = "auto") -> None:
        self.profile = check_profile(profile)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Dcz:
        """From `{"id": "dcz", "profile": "auto"}`, or that without `id`."""
        unknown = sorted(map(str, set(config) - {"id", "profile"}))
        if unknown:
            raise DczError(f"codec dcz: {', '.join(unknown)}: unknown; the one option is profile")
        return cls(config.get("profile", "auto"))

    def encode(self, buf: object) -> bytes:
        """A chunk, which is contiguous, in the order of its memory. Raises `TypeError` for arrays of objects."""
        return pack(ensure_contiguous_ndarray(buf), self.profile)

    def decode(self, buf: object, out: object = None) -> Any:
        """The chunk's elements, one after the other, in their own dtype and byte order; in `out`, if that is given,
        which has room for exactly them.

        Raises `FormatError`, `ChecksumError`, `TruncatedError` and so on: see `dcz.errors`."""
        data = ensure_contiguous_ndarray(buf).view(np.uint8)
        if out is None:
            return unpack(data)
        unpack(data, ensure_contiguous_ndarray(out).view(np.uint8))
        return out


def check_profile(profile: object) -> str:
    """The profile of a configuration, which may hold anything."""
    if not isinstance(profile, str) or profile not in PROFILES:
        raise DczError(f"codec dcz: profile: {profile!r:.80} is unknown; expected one of {', '.join(PROFILES)}")
    return profile
