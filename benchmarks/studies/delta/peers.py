"""What others store of the difference of two checkpoints. Each peer turns (base, new), a tensor's words as 16-bit
integers of the tensor's shape, into the bytes it would store, tensor by tensor; None: it takes too long for a tensor of
this size.

Ours is a whole file with everything that reading it safely takes; of the others only the payload is counted.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import zstandard

Words = np.ndarray
_NOTHING = np.zeros(0, np.uint16)


def raw(base: Words, new: Words) -> bytes:
    """A 32-bit index and the new value for each changed weight."""
    where = np.flatnonzero(base != new).astype(np.uint32)
    return where.tobytes() + new.reshape(-1)[where].tobytes()


def gaps(base: Words, new: Words) -> bytes:
    """A 16-bit gap to the changed weight before and the new value; a gap too wide takes an entry without change."""
    where = np.flatnonzero(base != new)
    gap = np.diff(where, prepend=-1) - 1
    fillers = int((gap // 0xFFFF).sum())
    return (gap % 0xFFFF).astype(np.uint16).tobytes() + bytes(2 * fillers) + new.reshape(-1)[where].tobytes()


def pulse(base: Words, new: Words) -> bytes:
    """PULSE's scheme: sorted coordinates, rows as 8-bit differences, columns as 16-bit ones within a row, new values;
    zstd -1."""
    flat = new.reshape(new.shape[0] if new.ndim > 1 else 1, -1)
    rows, columns = np.nonzero(flat != base.reshape(flat.shape))
    down = np.diff(rows, prepend=0)
    across = np.where(down > 0, columns, np.diff(columns, prepend=0))
    parts = (np.minimum(down, 255).astype(np.uint8), across.astype(np.uint16), flat[rows, columns])
    return zstandard.ZstdCompressor(level=1).compress(b"".join(part.tobytes() for part in parts))


def zstd_3(base: Words, new: Words) -> bytes:
    """zstd -3 of the XOR."""
    return zstandard.ZstdCompressor(level=3).compress((base ^ new).tobytes())


def zstd_19(base: Words, new: Words) -> bytes:
    """zstd -19 of the XOR."""
    return zstandard.ZstdCompressor(level=19).compress((base ^ new).tobytes())


def pcodec(base: Words, new: Words) -> bytes:
    """pcodec, level 8, of every weight's step."""
    from pcodec import ChunkConfig, standalone

    return standalone.simple_compress(_steps(base, new), ChunkConfig(compression_level=8))


def openzl(base: Words, new: Words) -> bytes:
    """OpenZL's own choice of graph, of every weight's step."""
    import openzl.ext as zl

    compressor = zl.Compressor()
    compressor.select_starting_graph(zl.graphs.Compress()(compressor))
    context = zl.CCtx()
    context.ref_compressor(compressor)
    context.set_parameter(zl.CParam.FormatVersion, zl.MAX_FORMAT_VERSION)
    steps = _steps(base, new)  # which the input does not keep alive
    stored = bytes(context.compress([zl.Input(zl.Type.Numeric, steps)]))
    if zl.DCtx().decompress(stored)[0].content.as_nparray().tobytes() != steps.tobytes():
        raise ValueError("OpenZL does not give back what it was given")
    return stored


def z4ai(base: Words, new: Words) -> bytes:
    """z4ai's delta of bfloat16."""
    import z4ai as codec

    return codec.compress_delta(new.tobytes(), base.tobytes(), dtype="bf16", threads=1)


def bsdiff(base: Words, new: Words) -> bytes | None:
    """bsdiff 4, which takes minutes for more than a few megabytes."""
    import bsdiff4

    return None if base.nbytes > 2_000_000 else bsdiff4.diff(base.tobytes(), new.tobytes())


def xdelta(base: Words, new: Words) -> bytes:
    """xdelta3 -9."""
    import xdelta3

    return xdelta3.encode(base.tobytes(), new.tobytes(), xdelta3.Flags.COMPLEVEL_9)


def _steps(base: Words, new: Words) -> Words:
    """SPEC 8.2, zigzagged."""

    def order(words: Words) -> Words:
        return words ^ (-(words >> np.uint16(15)) >> np.uint16(1))

    step = order(new.reshape(-1)) - order(base.reshape(-1))
    return step << np.uint16(1) ^ -(step >> np.uint16(15))


PEERS: dict[str, Callable[[Words, Words], bytes | None]] = {
    "32-bit index + value": raw,
    "16-bit gap + value": gaps,
    "PULSE's scheme": pulse,
    "zstd -3 of XOR": zstd_3,
    "zstd -19 of XOR": zstd_19,
    "pcodec 8 of steps": pcodec,
    "OpenZL of steps": openzl,
    "z4ai delta": z4ai,
    "bsdiff": bsdiff,
    "xdelta3 -9": xdelta,
}


def available(peer: Callable[[Words, Words], bytes | None]) -> str | None:
    """Why a peer cannot run here; None if it can."""
    tiny = np.arange(64, dtype=np.uint16).reshape(8, 8)
    try:
        peer(tiny, tiny ^ np.uint16(1))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None
