"""zstd for streams with repeated sequences of symbols, which histograms do not show: indices, masks, copies."""

from __future__ import annotations

import threading

import numpy as np
import zstandard

from dcz.entropy.symbols import Symbols
from dcz.errors import FormatError
from dcz.kernels.interface import U8
from dcz.text import plural

LEVEL = 12
MAX_WINDOW = 8 << 20  # of a frame (SPEC 5.4)
_MAGIC = b"\x28\xb5\x2f\xfd"
_PROBE_LEVEL = 3
_PROBE = 1 << 16
_MARGIN = 0.9
_LEAST = 64  # a frame's own head is a dozen bytes


class _Contexts(threading.local):
    """The contexts of one thread: zstandard's are not for two threads at once."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressor = zstandard.ZstdDecompressor()


_local = _Contexts()


def compress(symbols: U8, level: int = LEVEL) -> bytes:
    """Return one frame that states its content size; no bytes for no symbols."""
    if not len(symbols):
        return b""
    compressor = _local.compressors.get(level)
    if compressor is None:
        compressor = zstandard.ZstdCompressor(level=level, write_content_size=True, write_checksum=False)
        _local.compressors[level] = compressor
    return compressor.compress(np.ascontiguousarray(symbols).data)


def decompress(frame: bytes | memoryview, size: int, field: str) -> bytes:
    """Return exactly `size` bytes from one frame. Memory is bounded by `size`, whatever the frame says."""
    if size == 0:
        if len(frame):
            raise FormatError(
                f"{field}: {plural(len(frame), 'byte is', 'bytes are')} stored for no symbols; expected none"
            )
        return b""
    try:
        _check_header(frame, size, field)
        out = _local.decompressor.decompress(frame, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"{field}: the zstd frame does not decompress ({error})") from None
    if len(out) != size:
        raise FormatError(f"{field}: the zstd frame holds {len(out)} bytes, the file says {size}")
    return out


def _check_header(frame: bytes | memoryview, size: int, field: str) -> None:
    """Refuse a frame that SPEC 5.4 does not allow: a skippable one, one without its content size, one with a dictionary
    or a checksum of its own, or one with a window that a small reader cannot hold."""
    if bytes(frame[:4]) != _MAGIC:
        raise FormatError(f"{field}: not a zstd frame: it begins with {bytes(frame[:4])!r}")
    found = zstandard.get_frame_parameters(frame)
    if found.content_size == zstandard.CONTENTSIZE_UNKNOWN:
        raise FormatError(f"{field}: the zstd frame does not say how much it holds, it must")
    if found.content_size != size:
        raise FormatError(f"{field}: the zstd frame holds {found.content_size} bytes, the file says {size}")
    has_dictionary = bytes(frame[4:5])[0] & 3  # even one of ID 0, which is none
    if has_dictionary or found.has_checksum:
        what = "names a dictionary" if has_dictionary else "has a checksum of its own"
        raise FormatError(f"{field}: the zstd frame {what}; expected one that does not")
    if found.window_size > MAX_WINDOW:
        raise FormatError(
            f"{field}: the zstd frame has a window of {found.window_size} bytes; the limit is {MAX_WINDOW}"
        )


def promising(symbols: Symbols, stored: int) -> bool:
    """Return whether a sample from the middle becomes at least a tenth smaller than its share of `stored` bytes."""
    n = symbols.count
    if n < _LEAST:
        return False
    start = max(0, (n - _PROBE) // 2)
    sample = symbols.between(start, min(start + _PROBE, n))
    return len(compress(sample, _PROBE_LEVEL)) < _MARGIN * len(sample) * stored / n
