"""The codec of zarr arrays of format 3.

    zarr.create_array(store, shape=..., dtype=..., serializer=dcz.zarr.Dcz(), compressors=None)

Arrays of format 2 take `dcz.numcodecs.Dcz`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dcz.extras import require

require("zarr.abc.codec", "zarr", "dcz.zarr")

from zarr.abc.codec import ArrayBytesCodec

from dcz.chunks import pack, unpack
from dcz.errors import DczError
from dcz.numcodecs import check_profile

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer


@dataclass(frozen=True)
class Dcz(ArrayBytesCodec):
    """Chunks as dcz files of one tensor or as short frames, bit for bit; see `dcz.numcodecs.Dcz` and `dcz.chunks`.

    It encodes and decodes synchronously too, so that zarr's fused pipeline can take it.

    >>> import numpy, zarr
    >>> array = zarr.create_array({}, shape=100, dtype="float32", serializer=Dcz(), compressors=None)
    >>> array[:] = numpy.arange(100) % 3
    >>> array[:5]
    array([0., 1., 2., 0., 1.], dtype=float32)
    """

    is_fixed_size = False

    profile: str = "auto"

    def __post_init__(self) -> None:
        check_profile(self.profile)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Dcz:
        """From the array's metadata: `{"name": "dcz", "configuration": {"profile": "auto"}}`.

        Raises `DczError` for a configuration that is not a mapping, and options that are unknown."""
        name, configuration = data.get("name", "dcz"), data.get("configuration")
        if name != "dcz":
            raise DczError(f"codec dcz: name: expected 'dcz', found {name!r:.80}")
        if configuration is None:
            return cls()
        if not isinstance(configuration, Mapping):
            raise DczError(f"codec dcz: configuration: expected a mapping, found {configuration!r:.80}")
        unknown = sorted(map(str, set(configuration) - {"profile"}))
        if unknown:
            raise DczError(f"codec dcz: {', '.join(unknown)}: unknown; the one option is profile")
        return cls(profile=configuration.get("profile", "auto"))

    def to_dict(self) -> dict[str, Any]:
        """As the array's metadata has it."""
        return {"name": "dcz", "configuration": {"profile": self.profile}}

    def _encode_sync(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        array = chunk_array.as_numpy_array()
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(-1)
        return chunk_spec.prototype.buffer.from_bytes(pack(array, self.profile))

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        native = chunk_spec.dtype.to_native_dtype()
        little = native.newbyteorder("<")
        nbytes = math.prod(chunk_spec.shape) * native.itemsize
        array = unpack(chunk_bytes.as_numpy_array().view(np.uint8), dtype=little, nbytes=nbytes)
        array = array.reshape(-1).view(little).astype(native, copy=False)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(array.reshape(chunk_spec.shape))

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._encode_sync, chunk_array, chunk_spec)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown before it is encoded."""
        raise NotImplementedError
