"""A plugin of pytest: zarr's arrays of format 3 take dcz for their chunks where they would take bytes and zstd."""

from __future__ import annotations

from typing import Any

import zarr.core.array
from zarr.codecs import BytesCodec

from dcz.zarr import Dcz

_serializer = zarr.core.array.default_serializer_v3


def _dcz(dtype: Any) -> Any:
    """Text and bytes of variable length keep their own codecs."""
    found = _serializer(dtype)
    return Dcz() if isinstance(found, BytesCodec) else found


zarr.core.array.default_serializer_v3 = _dcz
zarr.core.array.default_compressors_v3 = lambda dtype: ()
