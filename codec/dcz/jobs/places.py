"""Files of a job, in a folder that all workers see or in a store: the same few operations on paths and on URLs."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator

from dcz.io.opening import open_source
from dcz.io.sinks import open_sink, publish, sync_folder
from dcz.io.sources import is_url, read


def join(folder: str, name: str) -> str:
    """Return the path or URL of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_url(folder) else os.path.join(folder, name)


def folder_of(path: str) -> str:
    """Return the folder of a path, absolute, or of a URL."""
    return path.rpartition("/")[0] if is_url(path) else os.path.dirname(os.path.abspath(path))


def exists(path: str) -> bool:
    """Return whether there is a file, as the place itself says now."""
    if not is_url(path):
        return os.path.exists(path)
    from dcz.io.remote import bounded, file_system

    fs, name = file_system(path)
    fs.invalidate_cache(folder_of(name))  # another process may have made it
    return bool(bounded(path, fs, "exists", name))


def read_bytes(path: str) -> bytes | None:
    """Return the content of a small file; None where there is no such file."""
    try:
        with contextlib.closing(open_source(path)) as source:
            return read(source, 0, source.size).tobytes()
    except FileNotFoundError:
        return None


def write_bytes(path: str, data: bytes) -> None:
    """Write a small file whole or not at all."""
    publish(open_sink(path), data)


def create(path: str, data: bytes) -> bool:
    """Write a small file if it does not exist; return False if it does. One process alone succeeds, where the place can
    promise that: file systems can, and S3, GCS and Azure."""
    if not is_url(path):
        try:
            file = open(path, "xb")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(data)
        except BaseException:
            os.unlink(path)
            raise
        return True
    from dcz.io.remote import file_system, guarded

    fs, name = file_system(path)
    if exists(path):
        return read_bytes(path) == data  # which a try made whose answer was lost
    with contextlib.suppress(FileExistsError):
        guarded(path, lambda: _create(fs, name, data))
    return read_bytes(path) == data


def _create(fs: object, name: str, data: bytes) -> None:
    pipe = fs.pipe_file  # type: ignore[attr-defined]
    try:
        pipe(name, data, mode="create")
    except (
        TypeError,
        NotImplementedError,
    ):  # a store whose library cannot: the one that wrote last is found by reading
        pipe(name, data)
    except OSError as error:
        if (
            error.errno not in (errno.EEXIST, errno.EBUSY)
            and "PreconditionFailed" not in f"{error!r} {error.__cause__!r}"
        ):
            raise


def make_folder(path: str) -> None:
    """Make a folder; stores have none."""
    if not is_url(path):
        os.makedirs(path, exist_ok=True)


def move(path: str, to: str) -> None:
    """Move a file over another; in a store it is copied there, and never passes through this machine."""
    if not is_url(path):
        os.replace(path, to)
        sync_folder(folder_of(to))
        return
    from dcz.io.remote import file_system, guarded

    fs, name = file_system(path)
    guarded(to, lambda: fs.mv(name, file_system(to)[1]))


def remove(path: str) -> None:
    """Remove a file, if there is one."""
    if not is_url(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    elif exists(path):
        from dcz.io.remote import bounded, file_system

        fs, name = file_system(path)
        bounded(path, fs, "rm_file", name)


def remove_folder(path: str) -> None:
    """Remove a folder and all in it, if there is one."""
    if not is_url(path):
        shutil.rmtree(path, ignore_errors=True)
        return
    from dcz.io.remote import file_system, guarded

    fs, name = file_system(path)
    with contextlib.suppress(FileNotFoundError):
        guarded(path, lambda: fs.rm(name, recursive=True))


def names(folder: str) -> list[str]:
    """Return the names of the files in a folder; none where there is no folder."""
    try:
        if not is_url(folder):
            return sorted(os.listdir(folder))
        from dcz.io.remote import bounded, file_system

        fs, name = file_system(folder)
        fs.invalidate_cache()
        return sorted(path.rpartition("/")[2] for path in bounded(folder, fs, "ls", name, detail=False))
    except FileNotFoundError:
        return []


def fingerprint(path: str) -> dict[str, object]:
    """Return what tells a file from another without reading it: its bytes, and when it was written or its ETag."""
    if not is_url(path):
        status = os.stat(path)
        return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
    from dcz.io.remote import bounded, file_system

    fs, name = file_system(path)
    info = bounded(path, fs, "info", name)
    tags = (info.get(key) for key in ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created"))
    return {"size": info["size"], "tag": next((str(tag) for tag in tags if tag), None)}


@contextlib.contextmanager
def staged(target: str) -> Iterator[str]:
    """Give a path of this machine to write a file to; on leaving it is at `target`, whole. A file for a store is made
    in the folder of temporary files (TMPDIR) and then sent, so that it is the same as in a folder."""
    if not is_url(target):
        yield target
        return
    from dcz.io.remote import bounded, file_system

    with tempfile.TemporaryDirectory(prefix="dcz-") as folder:
        path = os.path.join(folder, target.rpartition("/")[2])
        yield path
        fs, name = file_system(target)
        bounded(target, fs, "put_file", path, name, size=os.path.getsize(path))
