"""Loading a model that lies in several dcz files, by their index (`model.dcz.index.json`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from numpy.typing import NDArray

from dcz.container import Reader
from dcz.container.file import check_bytes
from dcz.container.shards import ShardIndex
from dcz.errors import DczError

Load = Callable[..., dict[str, NDArray]]


def load_shards(
    file: str | os.PathLike[str],
    load: Load,
    *,
    names: Iterable[str] | None,
    threads: int | None,
    out: Mapping[str, NDArray] | None,
    max_bytes: int | None,
    progress: Callable[[int, int], None] | None,
) -> dict[str, NDArray]:
    """The tensors of all files of an index; arguments and errors as in `dcz.load_file`, which is `load`.

    All files are opened before anything is decoded, so that what is missing is known at once."""
    index = ShardIndex.read(file)
    wanted = list(index.weight_map) if names is None else list(names)
    for name in (*wanted, *(out or ())):
        if name not in index.weight_map:
            raise KeyError(name)
    if strangers := set(out or ()) - set(wanted):
        raise DczError(f"out: {min(strangers)!r} is not among the tensors to load")
    groups: dict[str, list[str]] = {}
    for name in wanted:
        groups.setdefault(index.weight_map[name], []).append(name)
    sizes = {part: _nbytes(index, part, group) for part, group in groups.items()}
    stored = sum(size for _, size in sizes.values())
    total = sum(nbytes for nbytes, _ in sizes.values())
    check_bytes(total, stored, max_bytes)
    arrays: dict[str, NDArray] = {}
    done = 0

    def report(here: int, _: int) -> None:
        if progress is not None:
            progress(done + here, total)

    for part, group in groups.items():
        mine = {name: out[name] for name in group if name in out} if out else None
        size = sizes[part][0]
        arrays |= load(index.locate(part), names=group, threads=threads, out=mine, max_bytes=size, progress=report)
        done += size
    return {name: arrays[name] for name in wanted}


def _nbytes(index: ShardIndex, part: str, names: list[str]) -> tuple[int, int]:
    """Bytes that the tensors of one file decode to, each tied one once, and the bytes of the file."""
    with Reader(index.locate(part)) as reader:
        absent = [name for name in index.names(part) if name not in reader]
        if absent:
            raise index.missing(part, absent)
        infos = {reader.info(name).name: reader.info(name).nbytes for name in names}
        return sum(infos.values()), reader.size
