"""Apply a file of differences to arrays in place: everything is checked, then changed, or taken back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dcz.container.file import OpenFile
from dcz.container.memory import allocate
from dcz.container.tasks import read_plan, run_all
from dcz.container.threads import each, thread_count
from dcz.delta.decode import attach
from dcz.delta.journal import Journal
from dcz.delta.links import Link, check_chunks, check_copy, check_has_base, links
from dcz.delta.segments import Segments
from dcz.delta.targets import Piece, Target, check_none_gone, find_targets
from dcz.errors import BaseError, DczError
from dcz.text import plural

VERIFY = ("full", "base", "recorded")
# Bytes of a tensor that one task checks or changes.
_PIECE = 16 << 20


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of applying a file: how many `tensors` it changed, how many of their words at most, and the CRC-32C of
    each tensor's words, which the next file of a chain can be checked against without reading them
    (`verify="recorded"`)."""

    tensors: int
    words: int
    crcs: Mapping[str, int] = field(repr=False)


class _Application:
    """One file being applied: checked, then changed, then published; or taken back."""

    def __init__(
        self,
        tensors: Mapping[str, NDArray[Any]],
        store: OpenFile,
        names: Iterable[str] | None,
        partial: bool,
        fixed: bool,
    ) -> None:
        check_has_base(store)
        self.store, self._tensors, self._fixed = store, tensors, fixed
        self.wanted = _wanted(store, names)
        self.targets = find_targets(tensors, store, self.wanted, partial=partial, fixed=fixed)
        self._decoder = attach(store, None)
        self._segments = Segments(store)
        self._pieces = _pieces(self.targets.changed)
        self._journal = Journal(self._decoder)
        self._whole: dict[str, NDArray[Any]] = {}

    def check(self, verify: str, state: Applied | None, threads: int) -> None:
        """Check everything that can be wrong; nothing is changed."""
        each(lambda target: self._segments.check(target.link.entry), self.targets.changed, threads)
        if verify == "recorded":
            _check_recorded(self.wanted, state)
        else:
            each(_check_piece, self._pieces, threads)
            each(lambda target: check_copy(target.link, target.flat), self.targets.copied, threads)
        self._whole = _whole(self.store, self.wanted)

    def change(self, checked: bool, threads: int) -> None:
        """Change the tensors that change in place."""

        def work(piece: Piece) -> None:
            link = piece.target.link
            data = self._segments.part(link.entry, piece.first, piece.last)
            job, words = self._decoder.part(link.number, piece.first, piece.last, len(data))
            self._journal.begin(piece, data)
            self._decoder.change(link, job, words, data, piece.out, checked=checked)

        each(work, self._pieces, threads)

    def result(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the result by name; copy those that are stored whole to their places."""
        result, c = dict(self.targets.moved), self.store.index.columns
        for name, array in self._whole.items():
            result[name] = self._placed(name, array)
        for name, link in self.wanted.items():
            source = c.names[int(c.source[link.number])]
            if source != name and source in result:
                result[name] = self._placed(name, result[source].reshape(link.entry.shape).copy())
        for name, target in self.store.index.aliases.items():
            if target in result:
                result[name] = result[target]
        if self._fixed:
            for name, array in result.items():
                if name in self._tensors and not same_memory(self._tensors[name], array):
                    self._journal.copy(self._tensors[name], array)
        return result

    def _placed(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Return a whole tensor in the array of its name, if it fits and nothing else is made of that array."""
        old = self._tensors.get(name)
        if not isinstance(old, np.ndarray) or (old.dtype, old.shape) != (array.dtype, array.shape):
            return array
        if not old.flags.writeable or self.targets.uses(old):
            return array
        self._journal.copy(old, array)
        return old

    def take_back(self, cause: BaseException) -> None:
        self._journal.take_back(cause)

    def crcs(self) -> Iterator[tuple[str, int]]:
        """Yield the names of the result, second ones included, with the CRC-32C of their words."""
        for name, link in self.wanted.items():
            yield name, link.content_crc
        for name, target in self.store.index.aliases.items():
            if target in self.wanted:
                yield name, self.wanted[target].content_crc

    def words(self) -> int:
        """Return the number of words that are stored as changes."""
        return sum(int(self.store.index.columns.nonzeros[target.link.number]) for target in self.targets.changed)


def apply_delta(
    tensors: Mapping[str, NDArray[Any]],
    stores: Sequence[OpenFile],
    *,
    verify: str = "full",
    names: Iterable[str] | None = None,
    threads: int | None = None,
    state: Applied | None = None,
    fixed: bool = False,
) -> Applied:
    """See `dcz.apply_delta`; `stores` are the open file, or those of a sharded model. `fixed` says that the mapping can
    neither get nor lose names or arrays: every tensor of the result has its memory already."""
    if verify not in VERIFY:
        raise DczError(f"verify: {verify!r} is unknown; expected one of {', '.join(VERIFY)}")
    groups = _groups(stores, names)
    files = [_Application(tensors, store, group, names is not None, fixed) for store, group in groups]
    if names is None and (fixed or not isinstance(tensors, MutableMapping)):
        check_none_gone(tensors, stores)
    count = thread_count(threads)
    for file in files:
        file.check(verify, state, count)
    try:
        for file in files:
            file.change(verify != "base", count)
        result = {name: array for file in files for name, array in file.result().items()}
        if isinstance(tensors, MutableMapping) and not fixed:
            _rename(tensors, result, keep=names is not None)
    except BaseException as error:
        for file in reversed(files):
            file.take_back(error)
        raise
    crcs = {name: crc for file in files for name, crc in file.crcs()}
    return Applied(sum(len(file.targets.changed) for file in files), sum(file.words() for file in files), crcs)


def same_memory(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Return whether two arrays of equal size are the same memory."""
    return a.nbytes == b.nbytes and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]


def _groups(stores: Sequence[OpenFile], names: Iterable[str] | None) -> list[tuple[OpenFile, list[str] | None]]:
    """Return each file with the names that it has."""
    if names is None or len(stores) == 1:
        return [(store, None if names is None else list(names)) for store in stores]
    groups: list[tuple[OpenFile, list[str] | None]] = [(store, []) for store in stores]
    for name in names:
        for store, group in groups:
            if name in store.index.entries or name in store.index.aliases:
                group.append(name)  # type: ignore[union-attr]
                break
        else:
            raise KeyError(f"no tensor {name!r} in any of the {plural(len(stores), 'file')}")
    return groups


def _rename(tensors: MutableMapping[str, NDArray[Any]], result: Mapping[str, NDArray[Any]], *, keep: bool) -> None:
    """Give the mapping the result's names; `keep` those that the result lacks."""
    before = dict(tensors)
    try:
        for name, array in result.items():
            if tensors.get(name) is not array:
                tensors[name] = array
        for name in [] if keep else [name for name in tensors if name not in result]:
            del tensors[name]
    except BaseException:
        tensors.clear()
        tensors.update(before)
        raise


def undo_delta(tensors: Mapping[str, NDArray[Any]], store: OpenFile, *, threads: int | None = None) -> int:
    """See `dcz.undo_delta`; `store` is an open file."""
    check_has_base(store)
    targets = find_targets(tensors, store, links(store), partial=True, fixed=True)
    decoder = attach(store, None)
    segments = Segments(store)
    each(lambda target: segments.check(target.link.entry), targets.changed, thread_count(threads))
    journal, undone = Journal(decoder), 0
    plans = [(piece, journal.states(piece)) for piece in _pieces(targets.changed)]
    for piece, states in plans:
        undone += journal.undo(piece, states, segments)
    return undone


def _wanted(store: OpenFile, names: Iterable[str] | None) -> dict[str, Link]:
    found = links(store)
    if names is None:
        return found
    aliases = store.index.aliases
    for name in (names := list(names)):
        store.listed(name)  # `KeyError` for a name that is not in the file
    return {aliases.get(name, name): found[aliases.get(name, name)] for name in names}


def _pieces(targets: list[Target]) -> list[Piece]:
    """Return the runs of chunks that one task checks or changes."""
    out = []
    for target in targets:
        size = target.link.chunk * target.link.entry.dtype.word
        step, chunks = max(1, _PIECE // size), len(target.link.base_crcs)
        for first in range(0, chunks, step):
            last = min(first + step, chunks)
            out.append(Piece(target, first, last, target.flat[first * size : last * size]))
    return out


def _check_piece(piece: Piece) -> None:
    check_chunks(piece.target.link, piece.out, piece.first)


def _check_recorded(wanted: Mapping[str, Link], state: Applied | None) -> None:
    if state is None:
        raise DczError('verify="recorded": needs what applying the file before returned, as state=')
    for name, link in wanted.items():
        if link.based and state.crcs.get(link.base_name) != link.base_crc:
            raise BaseError(
                f"tensor {name!r}: the file was made from another {link.base_name!r} than the file applied before "
                "left; are the files of the chain in order?"
            )


def _whole(store: OpenFile, wanted: Mapping[str, Link]) -> dict[str, NDArray[Any]]:
    """Decode the tensors that are stored whole, before anything is changed."""
    c = store.index.columns
    plain = [link.entry for link in wanted.values() if not link.based and not c.transforms[c.source[link.number]]]
    store.check_bound(plain, sum(entry.nbytes for entry in plain), work=sum(entry.nbytes for entry in plain), threads=1)
    made = allocate(plain)
    run_all(store, read_plan(store, plain, [flat for _, flat in made]), 1)
    return {entry.name: array for entry, (array, _) in zip(plain, made)}
