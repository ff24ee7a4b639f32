"""zstd for streams whose symbols repeat in ways that counting them does not see: indices, masks, copies."""

from __future__ import annotations

import threading

import numpy as np
import zstandard

from dcz.entropy.symbols import Symbols
from dcz.errors import FormatError
from dcz.kernels.interface import U8

LEVEL = 12
MAX_WINDOW = 8 << 20  # of a frame (SPEC 5.4)
_MAGIC = b"\x28\xb5\x2f\xfd"
_PROBE_LEVEL = 3
_PROBE = 1 << 16
_MARGIN = 0.9
_LEAST = 64  # a frame's own head is a dozen bytes

_local = threading.local()  # zstandard's contexts are not for two threads at once


def compress(symbols: U8, level: int = LEVEL) -> bytes:
    """One frame that says how much it holds; no bytes for no symbols."""
    if not len(symbols):
        return b""
    compressors: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault("compressors", {})
    compressor = compressors.get(level)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=False)
        compressors[level] = compressor
    return compressor.compress(np.ascontiguousarray(symbols).data)


def decompress(frame: bytes | memoryview, size: int, field: str) -> bytes:
    """Exactly `size` bytes from one frame; memory is bounded by `size`, whatever the frame says."""
    if size == 0:
        if len(frame):
            raise FormatError(f"{field}: {len(frame)} bytes are stored for no symbols; expected none")
        return b""
    try:
        _check_header(frame, size, field)
        if not hasattr(_local, "decompressor"):
            _local.decompressor = zstandard.ZstdDecompressor()
        out = _local.decompressor.decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"{field}: the zstd frame does not decompress ({error})") from None
    if len(out) != size:
        raise FormatError(f"{field}: the zstd frame holds {len(out)} bytes, the file says {size}")
    return out


def _check_header(frame: bytes | memoryview, size: int, field: str) -> None:
    """A frame of the kind that SPEC 5.4 allows: no skippable one, its content size stated, no dictionary, no checksum
    of its own, and a window that a small reader can hold."""
    if bytes(frame[:4]) != _MAGIC:
        raise FormatError(f"{field}: not a zstd frame: it begins with {bytes(frame[:4])!r}")
    found = zstandard.get_frame_parameters(frame)
    if found.content_size == zstandard.CONTENTSIZE_UNKNOWN:
        raise FormatError(f"{field}: the zstd frame does not say how much it holds, it must")
    if found.content_size != size:
        raise FormatError(f"{field}: the zstd frame holds {found.content_size} bytes, the file says {size}")
    if found.dict_id or found.has_checksum:
        what = "needs a dictionary" if found.dict_id else "has a checksum of its own"
        raise FormatError(f"{field}: the zstd frame {what}; expected one that does not")
    if found.window_size > MAX_WINDOW:
        raise FormatError(
            f"{field}: the zstd frame has a window of {found.window_size} bytes; the limit is {MAX_WINDOW}"
        )


def promising(symbols: Symbols, stored: int) -> bool:
    """Whether a sample from the middle gets a tenth smaller at least than in `stored` bytes for all."""
    n = len(symbols.data)
    if n < _LEAST:
        return False
    start = max(0, (n - _PROBE) // 2)
    sample = symbols.data[start : start + _PROBE]
    return len(compress(sample, _PROBE_LEVEL)) < _MARGIN * len(sample) * stored / n
