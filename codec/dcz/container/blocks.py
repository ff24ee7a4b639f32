"""Words of a stored tensor by range: the chunks that hold them are read and decoded."""

from __future__ import annotations

from functools import partial

from dcz.container.file import OpenFile
from dcz.container.memory import fresh
from dcz.container.tasks import chunk_plan, run_all
from dcz.errors import locating
from dcz.format.index import Entry
from dcz.kernels.interface import U8
from dcz.tensor.words import StoredWords, in_blocks


def stored_words(store: OpenFile, name: str, block: int, threads: int) -> StoredWords | None:
    """Return the words of a tensor, to be read at most `block` at once; None for one that has no chunks of its own, as
    a copy of a base's has none."""
    entry = store.entry(name)
    if not store.index.columns.chunks[entry.number]:
        return None
    with locating(store.source.name):
        store.check_bound([entry], 0, work=entry.nbytes)
    return in_blocks(partial(_part, store, entry, threads), entry.dtype.code, entry.shape, block)


def _part(store: OpenFile, entry: Entry, threads: int, first: int, last: int) -> U8:
    """Return the bytes of words [first, last)."""
    word, chunk = entry.dtype.word, int(store.index.columns.chunk[entry.number])
    low, high = first // chunk, -(-last // chunk)
    out = fresh((min(high * chunk, entry.words) - low * chunk) * word)
    with locating(store.source.name):
        run_all(store, chunk_plan(store, entry, low, high, out), threads)
    return out[(first - low * chunk) * word : (last - low * chunk) * word]
