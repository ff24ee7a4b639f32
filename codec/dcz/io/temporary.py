"""Temporary files and folders beside their targets, named by the process that writes them: those of a killed process
are found.

A name is `.TARGET.HASH.PLACE.PID.START.RANDOM.tmp`: the target's name and a checksum of it, the machine and process
namespace, and the process with the time it started, because numbers of processes are used again.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import platform
import shutil
import zlib

from dcz.errors import DczError

# Temporary files of this process that are neither published nor removed, with the process that made them: a forked
# child must leave those of its parent alone.
_open: dict[str, int] = {}
# Those that this process could not remove.
_unremoved: set[str] = set()


def new_name(target: str) -> str:
    """Return a new name for a temporary file beside `target`, and note it for `remove_temporary_files`."""
    pid = os.getpid()
    name = f"{_prefix(target)}{pid}.{_started(pid) or 0}.{os.urandom(8).hex()}.tmp"
    path = os.path.join(os.path.dirname(target), name)
    _open[path] = pid
    return path


def forget(path: str) -> None:
    """Note that a temporary file is published."""
    _open.pop(path, None)


def rename_in(error: BaseException, path: str, target: str) -> None:
    """Let an error name the place that was asked for, not a temporary folder that nobody knows and that is gone."""
    target = target.rstrip(os.sep) or target
    if isinstance(error, OSError):
        for attribute in ("filename", "filename2"):
            name = getattr(error, attribute)
            if isinstance(name, str):
                setattr(error, attribute, name.replace(path, target))
    elif isinstance(error, DczError):
        error.args = tuple(arg.replace(path, target) if isinstance(arg, str) else arg for arg in error.args)


def remove(path: str) -> None:
    """Remove a temporary file or folder, if this process made it. What cannot be removed now is tried again when a file
    is written next, and at exit: the error that led here is the one to tell."""
    if _open.pop(path, None) == os.getpid() and not _removed(path):
        _unremoved.add(path)


def _removed(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:  # a folder, or an error
        try:
            shutil.rmtree(path)
        except OSError:
            return False
    return True


def _remove_unremoved() -> None:
    _unremoved.difference_update([path for path in _unremoved if _removed(path)])


def remove_temporary_files() -> None:
    """Remove all temporary files of this process. It runs at exit; call it in handlers of signals that end the process,
    such as SIGTERM."""
    for path in list(_open):
        remove(path)
    _remove_unremoved()


atexit.register(remove_temporary_files)


def remove_leftovers(target: str) -> None:
    """Remove the temporary files for the same target whose processes were killed. Those of other targets, of living
    processes and of other machines that share the folder stay."""
    _remove_unremoved()
    folder, prefix = os.path.dirname(target), _prefix(target)
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(prefix) and name.endswith(".tmp") and _is_dead(name[len(prefix) :]):
                _removed(os.path.join(folder, name))


def _prefix(target: str) -> str:
    name = os.path.basename(target)
    return f".{name[:32]}.{zlib.crc32(os.fsencode(name)):08x}.{_place():08x}."


def _place() -> int:
    """Return a number for this machine and PID namespace."""
    namespace = ""
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return zlib.crc32(f"{platform.node()} {namespace}".encode())


def this_process() -> tuple[int, int, int]:
    """Return what names this process in a file that others read: a number of the machine and PID namespace, its own
    number, and when it started (0 where the system does not say)."""
    return _place(), os.getpid(), _started(os.getpid()) or 0


def is_dead(place: object, pid: object, started: object) -> bool:
    """Return whether the process that `this_process` named has ended. False for one of another machine."""
    return place == _place() and _is_dead(f"{pid}.{started}.")


def _is_dead(rest: str) -> bool:
    pid, _, rest = rest.partition(".")
    started = rest.partition(".")[0]
    if not pid.isdecimal() or not started.isdecimal() or os.name != "posix":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # it lives and belongs to somebody else
    now = _started(int(pid))
    return now is not None and now != int(started)


def _started(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None where the system does not say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
