"""Words to a layout and the bytes of its segment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dcz import kernels
from dcz.entropy import Coding
from dcz.kernels.interface import U8
from dcz.tensor.analysis import Analysis
from dcz.tensor.choose import Encoding, choose
from dcz.tensor.layout import Layout, Stream
from dcz.tensor.words import Words

if TYPE_CHECKING:
    from concurrent.futures import Executor

# Chunks that one task encodes: about a millisecond of work.
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Encoded:
    """A tensor's layout, how many of its words are not zero, and the parts of its segment in order."""

    layout: Layout
    nonzeros: int
    parts: list[U8]


def encode(words: Words, profile: str = "auto", pool: Executor | None = None) -> Encoded:
    """`words` in the smallest layout of the profile."""
    analysis = Analysis(words)
    layout, parts = write(choose(analysis, profile), pool)
    return Encoded(layout, analysis.nonzeros, parts)


def write(chosen: Encoding, pool: Executor | None = None) -> tuple[Layout, list[U8]]:
    """The segment of a chosen encoding. The same bytes with any `pool`."""
    parts: list[U8] = []
    record = None
    if chosen.codebook is not None:
        record, head = chosen.codebook.encode()
        parts.append(np.frombuffer(head, np.uint8))
    checksums: list[int] = []
    if chosen.streams:
        body, checksums = _chunks(chosen.streams, pool)
        parts.append(body)
    layout = Layout(
        chosen.positions,
        chosen.values,
        chosen.chunk,
        record,
        tuple(_stream(coding) for coding in chosen.streams),
        _numbers(chosen.nonzeros, len(checksums)),
        _numbers(chosen.fillers, len(checksums)),
        tuple(checksums),
    )
    return layout, parts


def _chunks(streams: list[Coding], pool: Executor | None) -> tuple[U8, list[int]]:
    """All chunks one after another, each with its streams in order, and their checksums."""
    if len(streams) == 1 and all(code.kind == "raw" for code in streams[0].codes):
        symbols = streams[0].symbols  # as it is: no copy
        return symbols.data, kernels.active().crc32c_rows(symbols.data, symbols.bounds).tolist()
    sizes = np.stack([coding.sizes for coding in streams], axis=1)
    ends = np.cumsum(sizes.reshape(-1))
    starts = (ends - sizes.reshape(-1)).reshape(sizes.shape)
    out = np.empty(int(ends[-1]), np.uint8)
    bounds = np.append(starts[:, 0], ends[-1])
    checksums = np.empty(len(sizes), np.uint32)

    def batch(first: int) -> None:
        last = min(first + _BATCH, len(sizes))
        for s, coding in enumerate(streams):
            coding.write(first, last, out, np.ascontiguousarray(starts[first:last, s]))
        checksums[first:last] = kernels.active().crc32c_rows(out, bounds[first : last + 1])

    _each(batch, range(0, len(sizes), _BATCH), pool)
    return out, checksums.tolist()


def _each(work: Callable[[int], None], items: range, pool: Executor | None) -> None:
    if pool is None or len(items) < 2:
        for item in items:
            work(item)
    else:
        list(pool.map(work, items))


def _stream(coding: Coding) -> Stream:
    return Stream(tuple(coding.codes), tuple(coding.use.tolist()), tuple(coding.sizes.tolist()))


def _numbers(values: np.ndarray | None, chunks: int) -> tuple[int, ...]:
    return (0,) * chunks if values is None else tuple(values.tolist())
