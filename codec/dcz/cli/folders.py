"""Model folders for `pack` and `unpack`."""

from __future__ import annotations

import os

from dcz.cli import streams
from dcz.cli.common import exact, print_json, print_left_out, progress, size
from dcz.text import plural


def is_folder(path: str) -> bool:
    """True if a path is a model's folder: a directory that is not a Core ML package."""
    return os.path.isdir(path) and not os.path.normpath(path).lower().endswith(".mlpackage")


def weights(path: str) -> str:
    """The file in a folder that its weights are in, or their index."""
    from dcz.convert.folder import find_weights

    return find_weights(path)


def convert(
    src: str,
    dst: str,
    extension: str,
    profile: str,
    threads: int | None,
    shard_size: int | None,
    max_bytes: int | None,
    force: bool,
    strict: bool,
    quiet: bool,
    json: bool,
    *,
    max_memory: int | None = None,
) -> None:
    """Converts a folder to a folder, and says what was done."""
    from dcz.convert.folder import convert_folder
    from dcz.errors import DczError

    parent = os.path.dirname(os.path.abspath(dst))
    if not os.path.isdir(parent):
        raise DczError(f"{dst}: the folder {parent} does not exist; create it first")
    with progress("converting", quiet or json) as report:
        done = convert_folder(
            src, dst, extension, profile=profile, threads=threads, shard_size=shard_size, max_bytes=max_bytes,
            replace=force, strict=strict, progress=report, max_memory=max_memory,
        )  # fmt: skip
    print_left_out(done.left_out)
    after = sum(os.path.getsize(os.path.join(dst, name)) for name in done.files)
    if json:
        print_json({
            "source": src, "folder": dst, "weights": done.weights, "files": done.files, "copied": done.copied,
            "left_out": dict(done.left_out), "mended": done.mended, "tensors": done.moved.tensors,
            "aliases": done.moved.aliases, "dense_bytes": done.moved.nbytes, "source_bytes": done.source_bytes,
            "file_bytes": after,
        })  # fmt: skip
    elif not quiet:
        more = f" in {plural(len(done.files), 'file')}" if len(done.files) > 1 else ""
        copied = f"; {plural(len(done.copied), 'other file')} copied" if done.copied else ""
        streams.say_printable(
            f"{os.path.join(dst, done.weights)}: {plural(done.moved.tensors, 'tensor')}{more}, {exact(after)}, "
            f"before {size(done.source_bytes)}{copied}"
        )
        for path in done.mended:
            streams.say_printable(f"{os.path.join(dst, path)}: changed, as the weights are plain tensors now")
