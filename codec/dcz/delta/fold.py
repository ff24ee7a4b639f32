"""Fold two files of differences into one, and invert a file of differences, without the base."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import lcm
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dcz.container.file import OpenFile
from dcz.container.tasks import read_plan, run_all
from dcz.delta import checksums
from dcz.delta.changes import Changes
from dcz.delta.decode import BasedDecoder, attach
from dcz.delta.encode import Difference, encode_changes
from dcz.delta.links import Link, check_has_base, links
from dcz.delta.patch import changes
from dcz.delta.transforms import COPY, NAMES, NONE, REPLACE, STEP, magnitude, stored_dtype
from dcz.delta.writer import Saved, Writer
from dcz.errors import BaseError, UnsupportedError, locating
from dcz.kernels.interface import I64
from dcz.kernels.pure.order import applied
from dcz.tensor import from_words
from dcz.tensor.chunking import MAX_CHUNK
from dcz.text import plural


class _Delta:
    """An open file of differences, with the links of its tensors to the base."""

    def __init__(self, store: OpenFile) -> None:
        check_has_base(store)
        self.store = store
        self.links = links(store)
        self._decoder: BasedDecoder = attach(store, None)

    def link(self, name: str) -> Link | None:
        """Return the link of a tensor under any of its names."""
        return self.links.get(self.store.index.aliases.get(name, name))

    def changes(self, link: Link) -> tuple[I64, NDArray[Any]]:
        self.store.bound.check_memory(link.entry.words // 4)  # a bit each while they are coded again, and a count
        return changes(self.store, self._decoder, link)

    def whole(self, link: Link) -> NDArray[np.uint8]:
        """Return the bytes of a tensor that is stored whole."""
        nbytes = link.entry.nbytes
        self.store.check_bound([link.entry], nbytes, work=nbytes, threads=1)
        out = np.empty(nbytes, np.uint8)
        run_all(self.store, read_plan(self.store, [link.entry], [out]), 1)
        return out


class _Made(NamedTuple):
    """A tensor to write: whole `words`, or places and stored words of a `transform`."""

    link: Link
    transform: int
    base_name: str = ""
    words: NDArray[np.uint8] | None = None
    places: I64 | None = None
    stored: NDArray[Any] | None = None
    chunk: int = 0
    base_crcs: I64 | None = None
    result_crcs: I64 | None = None
    content_crc: int = 0


def fold(
    first: OpenFile, second: OpenFile, out: str | os.PathLike[str] | BinaryIO, *, threads: int | None = None
) -> Saved:
    """See `dcz.fold`."""
    one, two = _Delta(first), _Delta(second)
    with locating(second.source.name):
        for link in two.links.values():
            _check_follows(one, link)
    metadata = _joined_metadata(one.store.index.metadata, two.store.index.metadata)
    extensions = second.index.extensions
    with Writer(out, base=True, metadata=metadata, threads=threads, extensions=extensions) as writer:
        for name, link in two.links.items():
            _write(writer, name, _folded(one, two, link), second.index.tensor_metadata.get(name, {}))
        for name, target in second.index.aliases.items():
            writer.alias(name, target)
        return writer.saved()


def invert(store: OpenFile, out: str | os.PathLike[str] | BinaryIO, *, threads: int | None = None) -> Saved:
    """See `dcz.invert`."""
    delta = _Delta(store)
    for name, link in delta.links.items():
        if link.transform in (NONE, REPLACE):
            how = "is stored whole" if link.transform == NONE else "is replaced"
            raise UnsupportedError(
                f"tensor {name!r}: {how}, so that the file does not say what the base had; save the base as the "
                "difference to the result: dcz.save_delta(base, out, base=new)"
            )
    done: set[str] = set()
    with Writer(out, base=True, threads=threads) as writer:
        for name, link in delta.links.items():
            if link.base_name in done:
                continue
            done.add(link.base_name)
            if link.transform == COPY:
                made = _Made(link, COPY, name, content_crc=link.content_crc)
            else:
                places, stored = delta.changes(link)
                if link.transform == STEP:
                    stored = _zigzag(-_steps(stored))
                made = _Made(
                    link, link.transform, name, None, places, stored, link.chunk, link.result_crcs, link.base_crcs,
                    link.base_crc,
                )  # fmt: skip
            _write(writer, link.base_name, made)
        return writer.saved()


def _check_follows(one: _Delta, link: Link) -> None:
    """Refuse a second file that was not made from the first one's result, as far as checksums tell."""
    if not link.based:
        return
    before = one.link(link.base_name)
    if before is None:
        raise BaseError(
            f"tensor {link.entry.name!r}: is made of {link.base_name!r}, which the result of the first file lacks; are "
            "the files in order?"
        )
    mine, other = link.entry, before.entry
    if (mine.dtype, mine.words) != (other.dtype, other.words):
        raise BaseError(
            f"tensor {mine.name!r}: was made from {plural(mine.words, 'word')} of {mine.dtype.code}, the first "
            f"file's result has {other.words} of {other.dtype.code}; are the files in order?"
        )
    if before.content_crc != link.base_crc:
        raise BaseError(
            f"tensor {link.entry.name!r}: was made from words with the CRC-32C {link.base_crc:#010x}, the first file's "
            f"result has {before.content_crc:#010x}; are the files in order?"
        )


def _folded(one: _Delta, two: _Delta, link: Link) -> _Made:
    before = one.link(link.base_name) if link.based else None
    if before is None:
        return _Made(link, NONE, words=two.whole(link))
    if before.transform == NONE:
        words = one.whole(before)
        if link.changed:
            places, stored = two.changes(link)
            values = words.view(stored.dtype)
            values[places] = applied(values[places], stored, link.transform, magnitude(link.entry.dtype), False)
        return _Made(link, NONE, words=words)
    if link.transform == COPY and before.transform == COPY:
        return _Made(link, COPY, before.base_name, content_crc=link.content_crc)
    if COPY in (link.transform, before.transform):
        only, source = (before, one) if link.transform == COPY else (link, two)
        places, stored = source.changes(only)
        return _Made(
            link, only.transform, before.base_name, None, places, stored, only.chunk, only.base_crcs, only.result_crcs,
            link.content_crc,
        )  # fmt: skip
    return _both(one, two, before, link)


def _both(one: _Delta, two: _Delta, before: Link, link: Link) -> _Made:
    """Fold a tensor that both files change."""
    name = link.entry.name
    if before.transform != link.transform:
        raise UnsupportedError(
            f"tensor {name!r}: the first file has a {NAMES[before.transform]!r}, the second a "
            f"{NAMES[link.transform]!r}: without the base there is no one for both; use dcz.save_delta of the result"
        )
    chunk = lcm(before.chunk, link.chunk)
    if chunk > MAX_CHUNK:
        raise UnsupportedError(
            f"tensor {name!r}: chunks of {before.chunk} and of {link.chunk} words have no multiple in common up to "
            f"{MAX_CHUNK}; use dcz.save_delta of the result"
        )
    (p, a), (q, b) = one.changes(before), two.changes(link)
    places = np.union1d(p, q)
    stored = np.zeros(len(places), a.dtype)
    at, to = np.searchsorted(places, p), np.searchsorted(places, q)
    if link.transform == STEP:
        stored[at] = _steps(a)
        stored[to] += _steps(b)
        stored = _zigzag(stored)
    elif link.transform == REPLACE:
        stored[at] = a
        stored[to] = b
    else:
        stored[at] = a
        stored[to] ^= b
    if link.transform != REPLACE:
        keep = stored != 0
        places, stored = places[keep], stored[keep]
    words, word = link.entry.words, link.entry.dtype.word
    base_crcs = checksums.coarser(before.base_crcs, words, before.chunk, word, chunk)
    result_crcs = checksums.coarser(link.result_crcs, words, link.chunk, word, chunk)
    return _Made(
        link, link.transform, before.base_name, None, places, stored, chunk, base_crcs, result_crcs, link.content_crc
    )


def _steps(words: NDArray[Any]) -> NDArray[Any]:
    one = words.dtype.type(1)
    return words >> one ^ -(words & one)


def _zigzag(steps: NDArray[Any]) -> NDArray[Any]:
    top = steps.dtype.type(8 * steps.itemsize - 1)
    return steps << steps.dtype.type(1) ^ -(steps >> top)


def _write(writer: Writer, name: str, made: _Made, about: Mapping[str, object] | None = None) -> None:
    entry = made.link.entry
    if made.words is not None:
        array = from_words(made.words, entry.dtype, entry.shape)
        writer.add(name, array, base_name="", metadata=about)
        return
    if made.places is None or made.stored is None or not len(made.places):
        found = Difference(COPY, None, 0, np.zeros(0, np.int64), np.zeros(0, np.int64))
    else:
        dtype = stored_dtype(entry.dtype, made.transform)
        known = Changes(entry.words, _bitmap(made.places, entry.words), made.stored.view(np.uint8), dtype)
        known.chunk = _chunk(known.chunk, made.chunk)
        crcs = (
            checksums.coarser(rows, entry.words, made.chunk, entry.dtype.word, known.chunk)
            for rows in (made.base_crcs, made.result_crcs)
            if rows is not None
        )
        found = Difference(made.transform, encode_changes(known), known.count, *crcs)
    writer.put(name, made.base_name, entry.dtype, entry.shape, entry.words, found, made.content_crc, about)


def _bitmap(places: I64, words: int) -> NDArray[np.uint8]:
    """Return a bit for each word, set at these places, which ascend."""
    out = np.zeros(-(-words // 8), np.uint8)
    at = places >> 3
    first = np.diff(at, prepend=-1).nonzero()[0]
    bits = np.left_shift(np.uint8(1), (places & 7).astype(np.uint8))
    out[at[first]] = np.add.reduceat(bits, first, dtype=np.uint8)
    return out


def _chunk(best: int, known: int) -> int:
    """Return the words of a chunk: the best number, if it is a multiple of the chunks whose checksums are known."""
    return best if best % known == 0 else known


def _joined_metadata(first: Mapping[str, object], second: Mapping[str, object]) -> dict[str, object]:
    """Return the result's metadata, with the first file's base."""
    out = {key: value for key, value in second.items() if key != "base"}
    return {**out, "base": first["base"]} if "base" in first else out
