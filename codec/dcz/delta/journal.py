"""A journal of changes in place, to take them back: steps and XORs backward, the rest from copies."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dcz import kernels
from dcz.delta.targets import Piece
from dcz.delta.transforms import REPLACE
from dcz.errors import DczError
from dcz.kernels.interface import I64, U8

if TYPE_CHECKING:
    from dcz.delta.decode import BasedDecoder
    from dcz.delta.segments import Segments

BASE, RESULT, NEITHER = range(3)


class Journal:
    """Pieces begun and memory overwritten, the newest last; safe for threads."""

    def __init__(self, decoder: BasedDecoder) -> None:
        self._decoder = decoder
        self._lock = Lock()
        self._begun: list[tuple[Piece, U8, tuple[I64, NDArray[Any]] | None]] = []
        self._copies: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def begin(self, piece: Piece, data: U8) -> None:
        """Note that the stored bytes `data` are about to change a piece."""
        old = self._decoder.covered(piece, data) if piece.target.link.transform == REPLACE else None
        with self._lock:
            self._begun.append((piece, data, old))

    def copy(self, to: NDArray[Any], array: NDArray[Any]) -> None:
        """Overwrite memory with an array."""
        with self._lock:
            self._copies.append((to, to.copy()))
        to[...] = array

    def take_back(self, cause: BaseException) -> None:
        """Restore everything. Raises `DczError`, with the remedy, if that fails too."""
        try:
            for to, old in reversed(self._copies):
                to[...] = old
            for piece, data, old in reversed(self._begun):
                if old is not None:
                    places, words = old
                    piece.out.view(words.dtype)[places] = words
                else:
                    self._backward(piece, data, self.states(piece))
        except BaseException as error:
            raise DczError(
                f"applying failed ({cause}) and so did taking it back ({error}): the tensors are partly changed; call "
                "dcz.undo_delta with the same tensors and file, or load the base anew"
            ) from cause

    def states(self, piece: Piece) -> I64:
        """Return for each chunk of a piece whether its words are the base's or the result's."""
        link = piece.target.link
        size = link.chunk * link.entry.dtype.word
        edges = np.append(np.arange(0, len(piece.out), size, dtype=np.int64), np.int64(len(piece.out)))
        found = kernels.active().crc32c_rows(piece.out, edges).astype(np.int64)
        base, result = (crcs[piece.first : piece.last] for crcs in (link.base_crcs, link.result_crcs))
        return np.where(found == base, BASE, np.where(found == result, RESULT, NEITHER))

    def undo(self, piece: Piece, states: I64, segments: Segments) -> int:
        """Take back the chunks with the result's words, and return their number. Refuse chunks with other words than
        the base's or the result's."""
        link = piece.target.link
        if np.any(states == NEITHER):
            chunk = piece.first + int(np.argmax(states == NEITHER))
            raise DczError(
                f"tensor {link.entry.name!r}, chunk {chunk}: has neither the words of the base nor those of the "
                "result; load the base anew"
            )
        if np.any(states == RESULT) and link.transform == REPLACE:
            raise DczError(
                f"tensor {link.entry.name!r}: was replaced, which does not say what was there before; load the base "
                "anew"
            )
        data = segments.part(link.entry, piece.first, piece.last)
        return self._backward(piece, data, states)

    def _backward(self, piece: Piece, data: U8, states: I64) -> int:
        link, undone = piece.target.link, 0
        size = link.chunk * link.entry.dtype.word
        bounds = self._decoder.columns.bounds(link.number)
        for i in np.flatnonzero(states == RESULT).tolist():
            chunk = piece.first + i
            if link.base_crcs[chunk] == link.result_crcs[chunk]:
                continue
            begin, end = (int(bounds[at] - bounds[piece.first]) for at in (chunk, chunk + 1))
            job, words = self._decoder.part(link.number, chunk, chunk + 1, end - begin)
            out = piece.out[i * size : (i + 1) * size]
            self._decoder.change(link, job, words, data[begin:end], out, backward=True)
            undone += 1
        return undone
