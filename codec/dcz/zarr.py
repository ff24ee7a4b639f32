"""The codec of zarr arrays of format 3.

    zarr.create_array(store, shape=..., dtype=..., serializer=dcz.zarr.Dcz(), compressors=None)

Arrays of format 2 take `dcz.numcodecs.Dcz`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

try:
    from zarr.abc.codec import ArrayBytesCodec
except ImportError:
    raise ImportError("dcz.zarr needs zarr 3; install it: pip install 'zarr>=3'") from None

from dcz.errors import DczError
from dcz.numcodecs import pack, unpack
from dcz.tensor.choose import check_profile

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer


@dataclass(frozen=True)
class Dcz(ArrayBytesCodec):
    """Chunks as dcz files of one tensor, bit for bit; see `dcz.numcodecs.Dcz`.

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
    def from_dict(cls, data: dict) -> Dcz:
        """From the array's metadata: `{"name": "dcz", "configuration": {"profile": "auto"}}`."""
        configuration = dict(data.get("configuration") or {})
        profile = configuration.pop("profile", "auto")
        if configuration:
            raise DczError(f"codec dcz: {', '.join(configuration)}: unknown; the one option is profile")
        return cls(profile=profile)

    def to_dict(self) -> dict:
        """As the array's metadata has it."""
        return {"name": "dcz", "configuration": {"profile": self.profile}}

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        array = chunk_array.as_numpy_array()
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(-1)
        return chunk_spec.prototype.buffer.from_bytes(await asyncio.to_thread(pack, array, self.profile))

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        array = await asyncio.to_thread(unpack, chunk_bytes.as_numpy_array())
        native = chunk_spec.dtype.to_native_dtype()
        array = array.reshape(-1).view(native.newbyteorder("<")).astype(native, copy=False)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(array.reshape(chunk_spec.shape))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown before it is encoded."""
        raise NotImplementedError
