"""Files of differences on the command line: what `pack`, `apply`, `fold` and `verify` share."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from dcz.cli.options import TRANSFORMS, values
from dcz.io.sources import is_url

if TYPE_CHECKING:
    from dcz.convert.model import Model, Target
    from dcz.delta.reader import DeltaReader

BaseOption = Annotated[
    Optional[str],
    typer.Option(
        "--base", help="The model that DST is the difference to: any file that pack reads.", show_default=False
    ),
]
TransformOption = Annotated[
    str,
    typer.Option(
        help="With --base: auto and step take the fewest bits, xor more; replace needs no base to be applied.",
        autocompletion=values(TRANSFORMS),
    ),
]


def hints(base: str) -> dict[str, object]:
    """The metadata that identify a base: its name and its file's SHA-256."""
    out: dict[str, object] = {"name": os.path.basename(os.path.normpath(base))}
    if is_url(base):
        return {**out, "uri": base}
    if os.path.isfile(base) and not base.lower().endswith(".index.json"):
        with open(base, "rb") as file:
            out["sha256"] = (
                hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sum(file)
            )
    return out


def _sum(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


@contextmanager
def target(
    dst: str,
    base: str | None,
    *,
    transform: str,
    profile: str,
    threads: int | None,
    shard_size: int | None,
    replace: bool,
    source: str,
    portable: bool = False,
) -> Iterator[Target]:
    """The file to write, of differences if there is a base, or one for each shard and an index."""
    from dcz.convert import open_target
    from dcz.convert.delta import DeltaTarget
    from dcz.convert.shards import ShardedTarget
    from dcz.models import tensors_of

    if base is None:
        yield open_target(
            dst, profile=profile, threads=threads, shard_size=shard_size, replace=replace, source=source,
            portable=portable,
        )  # fmt: skip
        return
    check_base(base, None)
    with tensors_of(base) as tensors:
        options: dict[str, Any] = {
            "hints": hints(base), "transform": transform, "profile": profile, "threads": threads,
        }  # fmt: skip

        def one(path: str) -> Target:
            return DeltaTarget(path, tensors, **options)

        if dst.lower().endswith(".dcz.index.json"):
            yield ShardedTarget(dst, ".dcz", one, shard_size, replace, source)
        else:
            yield one(dst)


@contextmanager
def result(base: str, delta: str) -> Iterator[Model]:
    """The model that a file of differences, or several with an index, makes of a base."""
    from dcz.convert.delta import DeltaModel
    from dcz.models import tensors_of

    check_base(base, delta)

    with tensors_of(base) as tensors, DeltaModel(delta, tensors) as model:
        yield model


def check_base(base: str, delta: str | None) -> None:
    """Refuses a base that is not there, in one line that says which one `delta` wants."""
    from dcz.errors import BaseError

    if is_url(base) or os.path.exists(base):
        return
    wanted = "" if delta is None else _wanted(delta)
    raise BaseError(f"{base}: the base is not there" + (f"; {delta} wants {wanted}" if wanted else ""))


def without_base(file: str) -> str:
    """What is missing where `dcz apply` is given one file: the base, if these are differences."""
    wanted = _wanted(file) if file.lower().endswith((".dcz", ".dcz.index.json")) else ""
    if wanted:
        return f"{file}: the base is missing; the file wants {wanted}: dcz apply BASE {file} NEW"
    return "Missing argument 'DELTA': name the base, the file of differences, and the file to write"


def _wanted(delta: str) -> str:
    from dcz.container import open_file
    from dcz.container.wanted import wanted_base

    with open_file(delta) as reader:
        return wanted_base(reader.metadata)


def inspect_delta(
    reader: DeltaReader,
    file: str,
    base: str | None,
    html: str | None,
    *,
    everything: bool,
    wide: bool,
    only: str | None,
    quiet: bool,
    json: bool,
) -> None:
    """Shows a file of differences, which `reader` has open."""
    from dcz.cli import columns, delta_table, streams
    from dcz.cli.common import print_json
    from dcz.delta.reader import DeltaReader
    from dcz.errors import DczError
    from dcz.models import tensors_of

    columns.check_names(delta_table.COLUMNS, only)
    if html is not None:
        raise DczError(f"{file}: --html shows whole models; apply the differences first: dcz apply BASE FILE NEW")
    found, full = delta_table.tensors(reader), None
    if base is not None:
        check_base(base, file)
        with tensors_of(base) as tensors, DeltaReader(file, base=tensors) as result_:
            full = delta_table.full_bytes(result_)
    if json:
        print_json(delta_table.document(file, reader, found, full))
    elif not quiet:
        columns.show(delta_table.table(found, columns.most_rows(everything)), wide, only)
        streams.say_printable(delta_table.summary(file, reader, found, full))
