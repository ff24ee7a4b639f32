"""Model folders for `pack` and `unpack`."""

from __future__ import annotations

import os

from dcz.cli.common import file_bytes, print_json, progress, size


def is_folder(path: str) -> bool:
    """Whether a path is a model's folder: one that is no package of Core ML."""
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
    force: bool,
    quiet: bool,
    json: bool,
) -> None:
    """Converts a folder to a folder, and says what was done."""
    from dcz.convert.folder import convert_folder, find_weights
    from dcz.errors import DczError

    parent = os.path.dirname(os.path.abspath(dst))
    if not os.path.isdir(parent):
        raise DczError(f"{dst}: the folder {parent} does not exist; create it first")
    with progress("converting", quiet or json) as report:
        done = convert_folder(
            src, dst, extension, profile=profile, threads=threads, shard_size=shard_size, replace=force, progress=report
        )
    before = file_bytes(find_weights(src))
    after = sum(os.path.getsize(os.path.join(dst, name)) for name in done.files)
    if json:
        print_json({
            "source": src, "folder": dst, "weights": done.weights, "files": done.files, "copied": done.copied,
            "left_out": done.left_out, "tensors": done.moved.tensors, "aliases": done.moved.aliases,
            "dense_bytes": done.moved.nbytes, "source_bytes": before, "file_bytes": after,
        })  # fmt: skip
    elif not quiet:
        shards = f" in {len(done.files) - 1} files" if len(done.files) > 1 else ""
        print(
            f"{os.path.join(dst, done.weights)}: {done.moved.tensors} tensors{shards}, {size(after)} ({after} bytes), "
            f"before {size(before)}; {len(done.copied)} other files copied"
        )
        if done.left_out:
            names = ", ".join(done.left_out[:5]) + (", ..." if len(done.left_out) > 5 else "")
            print(f"left out, as weights of other formats: {names}")
