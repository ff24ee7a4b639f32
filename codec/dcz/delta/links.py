"""A file's links to its base: for each tensor its transform, the base's tensor, and the checksums of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from dcz.container.file import OpenFile
from dcz.container.wanted import wanted_base
from dcz.delta import checksums
from dcz.delta.base import Base, check_fit
from dcz.delta.transforms import COPY, NONE
from dcz.errors import BaseError, DczError
from dcz.format.index import Entry
from dcz.format.trailer import HAS_BASE
from dcz.kernels.interface import I64, U8


class Link(NamedTuple):
    """A tensor of a file, its `transform`, the name of the base's tensor, and the CRC-32C of the base's and of its own
    words in each chunk of `chunk` words; of a copy only the `content_crc` of all its words is known."""

    number: int
    entry: Entry
    transform: int
    base_name: str
    chunk: int
    base_crcs: I64
    result_crcs: I64
    content_crc: int

    @property
    def based(self) -> bool:
        """Return whether reading the tensor needs the base."""
        return self.transform != NONE

    @property
    def changed(self) -> bool:
        """Return whether the tensor is stored as changes."""
        return self.transform > COPY

    @property
    def base_crc(self) -> int:
        """Return the CRC-32C of all words of the base's tensor."""
        if self.transform == COPY:
            return self.content_crc
        entry = self.entry
        return checksums.joined(
            self.base_crcs.tolist(), checksums.chunk_bytes(entry.words, self.chunk, entry.dtype.word).tolist()
        )


class Links(Mapping[str, Link]):
    """Links by name, in the file's order, made on access; aliases are not among them."""

    def __init__(self, store: OpenFile) -> None:
        self._columns, self._entries = store.index.columns, store.index.entries

    def __getitem__(self, name: str) -> Link:
        return self._made(self._entries.numbers[name], self._entries[name])

    def numbered(self, t: int) -> Link:
        """Return the link of a tensor by its number."""
        return self[self._columns.names[t]]

    def _made(self, t: int, entry: Entry) -> Link:
        c = self._columns
        return Link(
            t, entry, int(c.transforms[t]), c.base_name(t), int(c.chunk[t]),
            c.base_crcs(t), c.result_crcs(t), int(c.content_crcs[t]),
        )  # fmt: skip

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def links(store: OpenFile) -> dict[str, Link]:
    """Return all links."""
    found = Links(store)
    return {name: found._made(t, entry) for t, (name, entry) in enumerate(store.index.entries.all().items())}


def has_base(store: OpenFile) -> bool:
    """Return whether a file stores differences."""
    return bool(store.index.features & HAS_BASE)


def check_has_base(store: OpenFile) -> None:
    if not has_base(store):
        raise DczError(
            f"{store.source.name}: is a whole model, not the differences to a base; load it with dcz.load_file"
        )


def check_base(store: OpenFile, base: Base, wanted: Mapping[str, Link]) -> None:
    """Refuse a base that lacks a tensor or has another dtype or number of words."""
    for name, link in wanted.items():
        if link.based:
            if link.base_name not in base:
                raise missing(store, f"has no tensor {link.base_name!r:.200}")
            check_fit(name, link.base_name, link.entry.dtype, link.entry.words, base.known(link.base_name))


def missing(store: OpenFile, what: str) -> BaseError:
    """Return the error for a missing or wrong base."""
    wanted = wanted_base(store.index.metadata)
    return BaseError(
        f"{store.source.name}: the base {what}; " + (f"wanted is {wanted}" if wanted else "is it the right one?")
    )


def check_chunks(link: Link, data: U8, first: int = 0) -> None:
    """Refuse a changed tensor's base words, from chunk `first` on, unless the tensor was made from them."""
    from dcz import kernels

    size = link.chunk * link.entry.dtype.word
    edges = np.append(np.arange(0, len(data), size, dtype=np.int64), np.int64(len(data)))
    found = kernels.active().crc32c_rows(data, edges).astype(np.int64)
    expected = link.base_crcs[first : first + len(found)]
    wrong = np.flatnonzero(found != expected)
    if len(wrong):
        raise wrong_base(link, first + int(wrong[0]), found, first)


def wrong_base(link: Link, chunk: int, found: I64, first: int = 0) -> BaseError:
    """Return the error for words that are not the base's; perhaps the result's: the file was applied before."""
    name = link.entry.name
    last = first + len(found)
    applied = found == link.result_crcs[first:last]
    changed = link.base_crcs[first:last] != link.result_crcs[first:last]
    if np.array_equal(applied, np.ones(len(found), np.bool_)):
        return BaseError(
            f"tensor {name!r}, chunk {chunk}: the words are already those of the result; the file was applied before"
        )
    if np.all(applied | (found == link.base_crcs[first:last])) and np.any(applied & changed):
        return BaseError(
            f"tensor {name!r}, chunk {chunk}: some chunks have the words of the base and some those of the result: "
            "applying was interrupted; take it back with dcz.undo_delta"
        )
    return BaseError(
        f"tensor {name!r}, chunk {chunk}: the base's words have the CRC-32C {found[chunk - first]:#010x}, the file was "
        f"made from {link.base_crcs[chunk]:#010x}: another base, or files of a chain out of order"
    )


def check_copy(link: Link, data: U8) -> None:
    """Refuse the base's words of a copied tensor, unless the tensor was made from them."""
    from dcz import kernels

    check_copy_crc(link, kernels.active().crc32c(data))


def check_copy_crc(link: Link, found: int) -> None:
    """Refuse the base's words of a copied tensor by their CRC-32C."""
    if found != link.content_crc:
        raise BaseError(
            f"tensor {link.entry.name!r}: the base's words have the CRC-32C {found:#010x}, the file was made from "
            f"{link.content_crc:#010x}: another base, or files of a chain out of order"
        )
