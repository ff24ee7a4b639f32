"""Choose the smallest layout of a tensor from histograms, without encoding every layout (SPEC 3.4).

The size of every candidate is exact. Candidates that a lower bound shows to be larger are left out. zstd is tried on
every layout that takes at most a sixteenth more than the smallest without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dcz import limits
from dcz.entropy import Coding, coding
from dcz.entropy.code import RAW_CODE
from dcz.errors import UnsupportedError
from dcz.tensor import bounds, chunking
from dcz.tensor.codebook import StoredCodebook
from dcz.tensor.layout import NARROW_BITS, position_streams
from dcz.tensor.streams import Analysis

# Positions each profile may take. All may store a tensor as it is: nothing ever gets bigger. Narrow relative
# indices are the paper's: their fillers save a thousandth at some densities and cost a fifth of the speed.
PROFILES = {
    "auto": ("bitmap", "relative8", "relative16", "all"),
    "csr": ("relative8", "relative16"),
    "bitmap": ("bitmap",),
    "dense": ("all",),
    "paper": ("relative5", "relative4"),
    "raw": (),
}

# Kinds of values: clusters of one codebook, or of one per group; byte planes.
_VALUES = ("codebook", "groups", "planes")

# Profiles whose streams may be zstd frames.
ZSTD_PROFILES = ("auto", "dense")

# Weights below which another candidate takes less time than a bound for it.
_SMALL = 4096

# From so many bytes on, byte planes of a candidate are not kept while others are looked at, but made again if it
# is taken: that takes a twentieth more time, and half the memory.
_LARGE = 32 << 20

# zstd is tried on layouts that take this fraction more than the smallest without it.
_SLACK = 16


@dataclass(slots=True)
class Encoding:
    """A layout with its streams, ready to be written.

    `cost` is its stored bytes, exactly, and the bytes that the layout is expected to take in the index."""

    positions: str
    values: str
    chunk: int
    codebook: StoredCodebook | None
    streams: list[Coding]
    nonzeros: NDArray[np.int64] | None
    fillers: NDArray[np.int64] | None
    cost: int = field(init=False)

    def __post_init__(self) -> None:
        numbers = len(self.streams) + (self.nonzeros is not None) + (self.fillers is not None)
        rows = self.streams[0].symbols.rows if self.streams else 0
        book = self.codebook.cost if self.codebook else 0
        streams = sum([stream.cost for stream in self.streams])
        self.cost = streams + book + rows * (bounds.ROW_COST + bounds.NUMBER_COST * numbers)


def check_profile(profile: str) -> None:
    """Raise `UnsupportedError` for a profile that does not exist."""
    if profile not in PROFILES:
        raise UnsupportedError(f"profile: {profile!r} is unknown; expected one of {', '.join(PROFILES)}")


def choose(analysis: Analysis, profile: str = "auto", portable: bool = False) -> Encoding:
    """Return the encoding with the least cost among those of a profile, which `check_profile` has accepted. A
    `portable` encoding has no zstd stream."""
    if analysis.count == 0:
        return empty()
    whole = as_it_is(analysis)
    if profile == "raw":
        return whole
    positions, zstd = PROFILES[profile], profile in ZSTD_PROFILES and not portable
    return least(analysis, zstd, whole, _search(analysis, positions, whole.cost, zstd))


def empty() -> Encoding:
    """Return the encoding of a tensor without weights."""
    return Encoding("all", "bytes", chunking.STEP, None, [], None, None)


def least(analysis: Analysis, zstd: bool, whole: Encoding, found: Iterable[Encoding]) -> Encoding:
    """Return the smallest of `whole` and of the `found` encodings; the first of equal ones. With `zstd`, streams may
    become zstd frames where that is smaller."""
    if not zstd:
        best = whole
        for encoding in found:
            if encoding.cost < best.cost:
                best = encoding
        _restore(best, analysis)
        return best
    near, limit = [whole], with_slack(whole.cost)
    for encoding in found:
        if encoding.cost <= limit:  # none of the others is kept
            limit = min(limit, with_slack(encoding.cost))
            near = [each for each in (*near, encoding) if each.cost <= limit]
    best = near[0]
    for number, encoding in enumerate(near):
        _restore(encoding, analysis)
        found_by_zstd = _with_zstd(encoding)
        if number == 0 or found_by_zstd.cost < best.cost:
            best = found_by_zstd
    return _as_it_is_with_zstd(whole, best)


def with_slack(cost: int) -> int:
    """Return the cost without zstd up to which a layout may be the smallest with it."""
    return cost + cost // _SLACK


def as_it_is(analysis: Analysis) -> Encoding:
    """Return the encoding that stores the words unchanged."""
    chunk = chunking.chunk_for_bytes(analysis.count, analysis.dtype.word)
    symbols = analysis.unchanged(chunk)
    return Encoding("all", "bytes", chunk, None, [coding.encode_with(symbols, RAW_CODE)], None, None)


def candidates(analysis: Analysis, positions: Iterable[str]) -> Iterator[Encoding]:
    """Yield every layout, encoded in full. Tests compare `choose` with the smallest of them."""
    for kind in positions:
        sparse = kind != "all"
        stream, fillers = _coded_positions(analysis, kind)
        for values in _VALUES:
            if _possible(analysis, values, sparse):
                yield _assemble(analysis, kind, values, stream, fillers, _coded_values(analysis, values, sparse))


def contenders(analysis: Analysis, positions: Iterable[str]) -> Iterator[Encoding]:
    """Yield the encodings among which the smallest of each kind of positions is, with zstd and without it. Values are
    coded once for all sparse kinds."""
    values: dict[bool, dict[str, tuple[StoredCodebook | None, list[Coding]]]] = {}
    for kind in positions:
        sparse = kind != "all"
        if sparse not in values:
            values[sparse] = _values(analysis, sparse, limits.MAX_WORDS, True)
        stream, fillers = _coded_positions(analysis, kind)
        for name, coded in values[sparse].items():
            yield _assemble(analysis, kind, name, stream, fillers, coded)


def _search(analysis: Analysis, positions: tuple[str, ...], bound: int, slack: bool) -> Iterator[Encoding]:
    """Yield the candidates that can still be the smallest; with `slack`, those within `with_slack` of it. Values are
    coded once for all sparse positions."""
    least = with_slack(bound) if slack else bound
    best, gaps_bound, wide_pays = bound, 0, False
    near: list[Encoding] = []
    sparse_values: dict[str, tuple[StoredCodebook | None, list[Coding]]] = {}
    for kind in positions:
        sparse = kind != "all"
        if sparse and analysis.nonzeros == analysis.count and "all" in positions:
            continue  # without zeros, positions only add to what `all` takes
        if not sparse:
            expected = bounds.dense(analysis, sparse_values.get("codebook"), least)
            # Where zstd finds no repeats among the nonzeros, it finds none among all words either.
            if expected > best and (expected > least or all(_with_zstd(each) is each for each in near)):
                continue
        if sparse and not sparse_values:
            sparse_values = _released(analysis, _values(analysis, True, least, slack), slack)
        values = sparse_values if sparse else _released(analysis, _values(analysis, False, least, slack), slack)
        if kind in NARROW_BITS and min(map(_values_cost, values.values())) + gaps_bound > least:
            continue
        if kind == "relative16" and not wide_pays:
            continue
        stream, fillers = _coded_positions(analysis, kind)
        if kind == "relative8" and fillers is not None:
            gaps_bound = bounds.rows(stream[0].symbols.histograms[fillers == 0])
            # Wider indices save fillers, of at most 12 bits each, and take one more stream.
            wide_pays = 3 * int(fillers.sum()) // 2 > bounds.NUMBER_COST * len(fillers)
        for name, coded in values.items():
            encoding = _assemble(analysis, kind, name, stream, fillers, coded)
            best = min(best, encoding.cost)
            least = with_slack(best) if slack else best
            if slack:
                near = [each for each in (*near, encoding) if each.cost <= least]
            yield encoding


def _coded_positions(analysis: Analysis, kind: str) -> tuple[list[Coding], NDArray[np.int64] | None]:
    return ([], None) if kind == "all" else analysis.positions(kind)


def _possible(analysis: Analysis, values: str, sparse: bool) -> bool:
    if values == "codebook":
        return analysis.entries(sparse) is not None
    return values == "planes" or analysis.groups is not None


def _coded_values(analysis: Analysis, values: str, sparse: bool) -> tuple[StoredCodebook | None, list[Coding]]:
    if values == "codebook":
        return analysis.codebook(sparse), [coding.choose(plane) for plane in analysis.index(sparse)]
    if values == "groups":
        books, streams = analysis.grouped(sparse)
        return books, [coding.choose(stream) for stream in streams]
    return None, [coding.choose(plane) for plane in analysis.planes(sparse)]


def _values_cost(coded: tuple[StoredCodebook | None, list[Coding]]) -> int:
    return (coded[0].cost if coded[0] else 0) + sum(stream.cost for stream in coded[1])


def _values(
    analysis: Analysis, sparse: bool, least: int, slack: bool
) -> dict[str, tuple[StoredCodebook | None, list[Coding]]]:
    """Return the values coded by codebooks and by planes. Planes are left out where a bound shows that they are too
    large."""
    out = {}
    if analysis.entries(sparse) is not None:
        out["codebook"] = _coded_values(analysis, "codebook", sparse)
    if analysis.groups is not None:
        out["groups"] = _coded_values(analysis, "groups", sparse)
    if "codebook" in out and analysis.count >= _SMALL:
        limit = _values_cost(out["codebook"])
        if slack:  # what the cheapest positions take is part of the cost by which `with_slack` goes
            rows = out["codebook"][1][0].symbols.rows
            limit = with_slack(limit) + (sparse * analysis.count // 8 + 16 * rows) // _SLACK + 1
        if bounds.planes(analysis, out["codebook"]) > min(least, limit):
            return out
    out["planes"] = _coded_values(analysis, "planes", sparse)
    return out


def _released(
    analysis: Analysis, values: dict[str, tuple[StoredCodebook | None, list[Coding]]], slack: bool
) -> dict[str, tuple[StoredCodebook | None, list[Coding]]]:
    """Return the same values after releasing the symbols of large byte planes. Their stored bytes are known by then;
    with `slack`, those with zstd too."""
    if analysis.words.held and analysis.words.nbytes >= _LARGE:
        for stream in values.get("planes", (None, []))[1]:
            if slack:
                _ = stream.with_zstd
            stream.symbols.release()
    return values


def _restore(best: Encoding, analysis: Analysis) -> None:
    """Make the symbols again that `_released` has released."""
    sparse = best.positions != "all"
    streams = best.streams[position_streams(best.positions) :]
    if best.values == "planes" and any(stream.symbols.released for stream in streams):
        for stream, symbols in zip(streams, analysis.planes(sparse), strict=True):
            stream.symbols.data = symbols.data


def _assemble(
    analysis: Analysis,
    kind: str,
    values: str,
    positions: list[Coding],
    fillers: NDArray[np.int64] | None,
    coded: tuple[StoredCodebook | None, list[Coding]],
) -> Encoding:
    sparse = kind != "all"
    streams = [*positions, *coded[1]]
    nonzeros = analysis.sparse_counts if sparse else None
    return Encoding(
        kind,
        "planes" if values == "planes" else "codebook",
        analysis.chunk(sparse),
        coded[0],
        streams,
        nonzeros,
        fillers,
    )


def _with_zstd(encoding: Encoding) -> Encoding:
    """Return the same layout with zstd in the streams where a sample shows that symbols repeat."""
    if encoding.values == "bytes":
        return encoding
    streams = [stream.with_zstd for stream in encoding.streams]
    if all(new is old for new, old in zip(streams, encoding.streams)):
        return encoding
    return replace(encoding, streams=streams)


def _as_it_is_with_zstd(whole: Encoding, best: Encoding) -> Encoding:
    """Return `best`, or the words as they are in zstd, where a sample promises less than the best."""
    stream = whole.streams[0]
    found = coding.compressed(stream, best.cost)
    if found is stream:
        return best
    return min(best, replace(whole, streams=[found]), key=lambda encoding: encoding.cost)
