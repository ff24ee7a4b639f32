"""zstd for streams whose symbols repeat in ways that counting them does not see: indices, masks, copies."""

from __future__ import annotations

import threading

import numpy as np
import zstandard

from dcz.entropy.symbols import Symbols
from dcz.errors import FormatError
from dcz.kernels.interface import U8

LEVEL = 12
_PROBE_LEVEL = 3
_PROBE = 1 << 16
_MARGIN = 0.9
_LEAST = 64  # a frame's own head is a dozen bytes

_local = threading.local()  # zstandard's contexts are not for two threads at once


def _compressor(level: int) -> zstandard.ZstdCompressor:
    cache = _local.__dict__.setdefault("compressors", {})
    if level not in cache:
        cache[level] = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=False)
    return cache[level]


def compress(symbols: U8, level: int = LEVEL) -> bytes:
    """One frame that says how much it holds."""
    return _compressor(level).compress(np.ascontiguousarray(symbols).data)


def decompress(frame: bytes | memoryview, size: int, field: str) -> bytes:
    """Exactly `size` bytes from one frame; memory is bounded by `size`, whatever the frame says."""
    try:
        declared = zstandard.frame_content_size(frame)
        if declared < 0:
            raise FormatError(f"{field}: the zstd frame does not say how much it holds, it must")
        if declared != size:
            raise FormatError(f"{field}: the zstd frame holds {declared} bytes, the file says {size}")
        if not hasattr(_local, "decompressor"):
            _local.decompressor = zstandard.ZstdDecompressor()
        if size == 0:  # which zstandard does not decompress, and so not check
            return _checked_empty(frame, field)
        out = _local.decompressor.decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"{field}: {error}") from None
    if len(out) != size:
        raise FormatError(f"{field}: the zstd frame holds {len(out)} bytes, the file says {size}")
    return out


def _checked_empty(frame: bytes | memoryview, field: str) -> bytes:
    """No bytes, of a frame that holds none and ends where the stream does."""
    stream = zstandard.ZstdDecompressor().decompressobj()
    if stream.decompress(frame) or not stream.eof or stream.unused_data:
        raise FormatError(f"{field}: the zstd frame of no bytes is damaged")
    return b""


def promising(symbols: Symbols, stored: int) -> bool:
    """Whether a sample from the middle gets a tenth smaller at least than in `stored` bytes for all."""
    n = len(symbols.data)
    if n < _LEAST:
        return False
    start = max(0, (n - _PROBE) // 2)
    sample = symbols.data[start : start + _PROBE]
    return len(compress(sample, _PROBE_LEVEL)) < _MARGIN * len(sample) * stored / n
