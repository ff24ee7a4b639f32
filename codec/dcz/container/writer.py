"""The streaming writer: one pass, memory bounded by one tensor."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import BinaryIO

import numpy as np

from dcz import kernels
from dcz.container.threads import pool, thread_count
from dcz.errors import DczError
from dcz.format import index, prelude
from dcz.format import metadata as typed
from dcz.format.trailer import HAS_BASE
from dcz.io.sinks import open_sink
from dcz.io.targets import check_target
from dcz.kernels.interface import U8
from dcz.tensor import Layout, encode, to_words
from dcz.tensor.choose import check_profile
from dcz.tensor.encode import Encoded


class Writer:
    """Writes a dcz file tensor by tensor.

    Args:
        file: a path, which is replaced only once the file is complete, or a writable binary file object.
        metadata: a mapping of strings to strings, numbers, booleans, bytes, None, lists and mappings.
        profile: "auto", "csr", "bitmap", "dense", "paper" or "raw".
        threads: how many to use; by default the cores this process may use.

    Used as a context manager it finishes the file on leaving, and leaves an old file alone when an
    exception passes through.

    >>> import io, numpy, dcz
    >>> file = io.BytesIO()
    >>> with dcz.Writer(file, metadata={"step": 3}) as writer:
    ...     layout = writer.add("w", numpy.eye(4, dtype="float32"))
    >>> list(dcz.load(file.getvalue()))
    ['w']
    """

    _features = 0

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        *,
        metadata: Mapping[str, object] | None = None,
        profile: str = "auto",
        threads: int | None = None,
    ) -> None:
        check_target(file)
        check_profile(profile)
        self._metadata = typed.normalize(metadata)
        self._profile = profile
        self._stack = ExitStack()
        count = thread_count(threads)
        self._pool = self._stack.enter_context(pool(count)) if count > 1 else None
        self._tensors: dict[str, index.Record] = {}
        self._aliases: dict[str, str] = {}
        self._done = True  # nothing to give up as long as nothing is open
        self._sink = open_sink(file)
        self._done = False
        self._offset = 0
        self._guarded(lambda: self._write(prelude.MAGIC))

    def add(self, name: str, array: np.ndarray | np.generic) -> Layout:
        """Stores one tensor, bit for bit, and returns how.

        Raises `UnsupportedError` for a dtype that has no code, `DczError` for a name that is taken."""
        self._check_open()
        self._check_name(name)
        words = to_words(array, name)
        index.check_shape(list(words.shape), words.dtype, name)
        encoded = encode(words, self._profile, self._pool)
        layout = self._segment(encoded, len(words.data))
        self._tensors[name] = index.Record.of(
            name, words.dtype, words.shape, words.count, encoded.nonzeros, kernels.active().crc32c(words.data), layout
        )
        return layout

    def _segment(self, encoded: Encoded, nbytes: int) -> Layout:
        """Writes a tensor's segment; `nbytes` are those of its array."""
        offset = index.aligned(self._offset, encoded.stored, nbytes)

        def write() -> None:
            self._write(bytes(offset - self._offset))
            for part in encoded.parts():
                self._write(part)

        self._guarded(write)
        return encoded.layout()

    def alias(self, name: str, target: str) -> None:
        """Gives the tensor `target`, which is already there, a second name: tied weights."""
        self._check_open()
        self._check_name(name)
        target = self._aliases.get(target, target)
        if target not in self._tensors:
            raise DczError(f"alias {name!r}: there is no tensor {target!r} yet; add it first")
        self._aliases[name] = target

    def close(self) -> None:
        """Writes index and trailer and publishes the file. Does nothing the second time."""
        if self._done:
            return

        def finish() -> None:
            has_base = bool(self._features & HAS_BASE)
            plain = index.flatten(list(self._tensors.values()), self._aliases, self._metadata, has_base=has_base)
            stored, trailer = index.pack(plain, self._offset, self._features)
            self._write(stored)
            self._write(trailer.pack())
            self._sink.publish()

        self._guarded(finish)
        self._finish()

    def abandon(self) -> None:
        """Gives up: a path keeps what it had before."""
        if not self._done:
            self._sink.abandon()
            self._finish()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def __del__(self) -> None:
        if not getattr(self, "_done", True):
            self.abandon()

    def _finish(self) -> None:
        self._done = True
        self._stack.close()

    def _write(self, data: bytes | U8) -> None:
        if len(data):
            self._sink.write(data)
            self._offset += len(data)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Half a segment cannot be taken back: whatever goes wrong in writing ends the file."""
        try:
            work()
        except BaseException:
            self.abandon()
            raise

    def _check_open(self) -> None:
        if self._done:
            raise DczError("the writer is closed; open another")

    def _check_name(self, name: str) -> None:
        index.check_name(name, "name", DczError)
        if name in self._tensors or name in self._aliases:
            raise DczError(f"tensor {name!r} is already there; names are unique in a file")
