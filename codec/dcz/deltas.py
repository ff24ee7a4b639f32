"""Whole files of differences to a base: save, apply, undo, fold, invert, rebase, verify."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import astuple
from typing import Any, BinaryIO

from numpy.typing import NDArray

from dcz.container.file import OpenFile
from dcz.container.threads import thread_count
from dcz.container.verification import Verified, verify_open
from dcz.container.verification import verify as _verify_whole
from dcz.delta import Base, attach
from dcz.delta import apply as _apply
from dcz.delta import fold as _fold
from dcz.delta import save as _save
from dcz.delta.apply import Applied
from dcz.delta.opening import open_stores
from dcz.delta.reader import DeltaReader
from dcz.delta.writer import Saved
from dcz.models import tensors_of

__all__ = ["apply_delta", "fold", "invert", "rebase", "save_delta", "undo_delta", "verify"]

Model = Mapping[str, Any] | str | os.PathLike[str]
File = str | os.PathLike[str] | bytes | memoryview | BinaryIO


def save_delta(
    new: Model,
    file: str | os.PathLike[str] | BinaryIO,
    *,
    base: Model,
    transform: str = "auto",
    renames: Mapping[str, str] | None = None,
    metadata: Mapping[str, object] | None = None,
    profile: str = "auto",
    threads: int | None = None,
    tensor_metadata: Mapping[str, Mapping[str, object]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Saved:
    """Write a model as its differences to another, bit for bit: a few bits for each weight that changed.

    Args:
        new, base: mappings of names to arrays (dictionaries, `dcz.open` of files), or paths of files of any format that
            `dcz pack` reads. One tensor of each is in memory at a time.
        file: a path, which is replaced only once the file is complete, or a writable binary file object.
        transform: "auto", "step" (how many representable values apart, the smallest), "xor", or "replace" (the new
            values: larger, but a receiver needs no base, and can apply it twice).
        renames: names of `new` to names of `base`. A tensor with a name that the base lacks is looked for among those
            that the new model lacks, too.
        metadata: as of `dcz.save_file`. Its "base", a mapping, may say which base is wanted: `name`, `sha256`, `uri`.
        profile, threads, tensor_metadata, progress: as of `dcz.save_file`; the profile is that of tensors that are
            stored whole.

    Returns:
        How many tensors are the base's, changed or stored whole, and which names of the base are gone.

    Raises:
        UnsupportedError: a dtype or object that cannot be stored.
        DczError: invalid names, metadata or options, or an array that changes while it is saved.

    >>> import io, numpy, dcz
    >>> old = {"w": numpy.ones(1000, "float32"), "b": numpy.zeros(3)}
    >>> new = {"w": old["w"].copy(), "b": old["b"]}
    >>> new["w"][7] += 1e-7
    >>> file = io.BytesIO()
    >>> dcz.save_delta(new, file, base=old)
    Saved(tensors=2, copied=1, changes=1, whole=0, removed=())
    """
    with tensors_of(new) as tensors, tensors_of(base) as old:
        return _save.save_delta(
            tensors, file, base=old, transform=transform, renames=renames, metadata=metadata, profile=profile,
            threads=threads, tensor_metadata=tensor_metadata, progress=progress,
        )  # fmt: skip


def apply_delta(
    tensors: Mapping[str, NDArray[Any]],
    file: File,
    *,
    verify: str = "full",
    names: Iterable[str] | None = None,
    threads: int | None = None,
    state: Applied | None = None,
) -> Applied:
    """Turn the base into the new model in place: only memory that changes is written.

    Everything is checked first: the file's index and stored bytes, dtypes, sizes, and each chunk of the base. After any
    failure, then or later, the tensors are as they were.

    Args:
        tensors: names to numpy arrays, C-contiguous and writeable, which are changed in place. If it is a dictionary,
            tensors that are new, renamed, reshaped or gone come, move and go in it; otherwise they are refused.
        file: a file of differences: a path, URL, bytes or a binary file object; the path of a `.dcz.index.json` stands
            for all files of a sharded model, which are applied together.
        verify: "full" compares base and result with their CRC-32C, "base" the base alone; "recorded" trusts the
        checksums in `state`, which applying the previous file of a chain returned: unchanged words are not read. names:
        tensors to change; by default all. threads: how many to use; by default the cores this process may use.

    Returns:
        How many tensors and words changed, and the checksums that `verify="recorded"` takes.

    Raises:
        BaseError: another base than the file was made from, a chain out of order, or a file that was applied before.
        DczError: arrays that cannot be changed in place.
        FormatError, ChecksumError, TruncatedError, UnsupportedError, LimitError: see `dcz.errors`.
        KeyError: a name that is not in the file.

    >>> import io, numpy, dcz
    >>> model = {"w": numpy.zeros(5, "float32")}
    >>> file = io.BytesIO()
    >>> saved = dcz.save_delta({"w": numpy.float32([0, 0, 7, 0, 0])}, file, base=model)
    >>> dcz.apply_delta(model, file.getvalue())
    Applied(tensors=1, words=1)
    >>> model["w"]
    array([0., 0., 7., 0., 0.], dtype=float32)
    """
    with open_stores(file) as stores:
        return _apply.apply_delta(tensors, stores, verify=verify, names=names, threads=threads, state=state)


def undo_delta(tensors: Mapping[str, NDArray[Any]], file: File, *, threads: int | None = None) -> int:
    """Undo an interrupted or complete `apply_delta`: chunks with the result's words get the base's again. Return the
    number of these chunks.

    Tensors that were replaced, stored whole, or are gone cannot be brought back.

    Raises:
        DczError: a chunk with neither the words of the base nor those of the result; nothing is changed.

    >>> import io, numpy, dcz
    >>> model = {"w": numpy.zeros(5, "float32")}
    >>> file = io.BytesIO()
    >>> saved = dcz.save_delta({"w": numpy.float32([0, 0, 7, 0, 0])}, file, base=model)
    >>> applied = dcz.apply_delta(model, file.getvalue())
    >>> dcz.undo_delta(model, file.getvalue()), float(model["w"].sum())
    (1, 0.0)
    """
    with open_stores(file) as stores:
        return sum(_apply.undo_delta(tensors, store, threads=threads) for store in stores)


def fold(
    first: File,
    second: File,
    out: str | os.PathLike[str] | BinaryIO,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
) -> Saved:
    """Fold two files of a chain into one, from the first one's base to the second one's result, without the base.

    `max_bytes` bounds the memory of each file's tensors, as in `dcz.load_file`. Metadata and extensions are those of
    the second file.

    Raises:
        LimitError: a tensor takes more memory than is allowed.
        BaseError: the second was not made from the result of the first.
        UnsupportedError: one has steps of a tensor that the other replaces.

    >>> import io, numpy, dcz
    >>> models = [{"w": numpy.full(5, value, "float32")} for value in (0, 1, 2)]
    >>> files = [io.BytesIO() for _ in range(3)]
    >>> for file, old, new in zip(files, models, models[1:]):
    ...     saved = dcz.save_delta(new, file, base=old)
    >>> folded = dcz.fold(files[0].getvalue(), files[1].getvalue(), files[2])
    >>> dcz.load_file(files[2].getvalue(), base=models[0])["w"]
    array([2., 2., 2., 2., 2.], dtype=float32)
    """
    with closing(OpenFile(first, max_bytes=max_bytes)) as one, closing(OpenFile(second, max_bytes=max_bytes)) as two:
        return _fold.fold(one, two, out, threads=threads)


def invert(
    file: File,
    out: str | os.PathLike[str] | BinaryIO,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
) -> Saved:
    """Invert a file of differences: the new file leads from its result to its base. Neither is needed. Tensors of the
    base that the result lacks are in neither file. `max_bytes` bounds memory as in `dcz.load_file`.

    Raises:
        UnsupportedError: a tensor that is stored whole or replaced, so that the file does not say what the base had.

    >>> import io, numpy, dcz
    >>> old, new = ({"w": numpy.full(5, value, "float32")} for value in (0, 1))
    >>> there, back = io.BytesIO(), io.BytesIO()
    >>> saved = dcz.save_delta(new, there, base=old, transform="step")
    >>> inverted = dcz.invert(there.getvalue(), back)
    >>> dcz.load_file(back.getvalue(), base=new)["w"]
    array([0., 0., 0., 0., 0.], dtype=float32)
    """
    with closing(OpenFile(file, max_bytes=max_bytes)) as store:
        return _fold.invert(store, out, threads=threads)


def rebase(
    file: File,
    out: str | os.PathLike[str] | BinaryIO,
    *,
    base: Model,
    onto: Model,
    threads: int | None = None,
) -> Saved:
    """Write the same result as differences to another base: `file` was made from `base`, `out` will be from `onto`.

    >>> import io, numpy, dcz
    >>> one, two, new = ({"w": numpy.full(5, value, "float32")} for value in (0, 1, 2))
    >>> file, other = io.BytesIO(), io.BytesIO()
    >>> saved = dcz.save_delta(new, file, base=one)
    >>> rebased = dcz.rebase(file.getvalue(), other, base=one, onto=two)
    >>> dcz.load_file(other.getvalue(), base=two)["w"]
    array([2., 2., 2., 2., 2.], dtype=float32)
    """
    with tensors_of(base) as old, DeltaReader(file, base=old) as new, tensors_of(onto) as other:
        metadata = {key: value for key, value in new.metadata.items() if key != "base"}
        about = {name: new.info(name).metadata for name in new if name not in new.aliases}
        return _save.save_delta(new, out, base=other, metadata=metadata, threads=threads, tensor_metadata=about)


def verify(
    file: File,
    *,
    base: Model | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Checks every byte of a file, or of all files of a shard index or a folder with one: structure, checksums,
    padding, that every stream decodes, and that it decodes to the words whose checksum the index has. To check the
    result of a file of differences, pass its `base`, a mapping or the path of a file; else its stored bytes are
    checked.

    Decodes chunk by chunk, so it needs memory for a few chunks only. What may be decoded in all is bounded: by 1,024
    times the file's size or 1 GiB, whichever is more, or by `max_bytes` if that is more. Returns what it read; raises
    `FormatError`, `ChecksumError`, `TruncatedError`, `UnsupportedError` or `LimitError`, and `BaseError` for another
    base.

    >>> import numpy, dcz
    >>> dcz.verify(dcz.save({"w": numpy.zeros(1000)})).decoded
    8000
    """
    if base is None:
        return _verify_whole(file, threads=threads, max_bytes=max_bytes, progress=progress)
    found = Verified(0, 0, 0, 0)
    with tensors_of(base) as tensors, open_stores(file) as stores:
        for store in stores:
            attach(store, Base(tensors))
            one = verify_open(store, thread_count(threads), progress)
            found = Verified(*(a + b for a, b in zip(astuple(found), astuple(one))))
    return found
