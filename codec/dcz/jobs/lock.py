"""One job at a time writes to a place: a lock file that is made if there is none, with its owner in it."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import platform
import time
from collections.abc import Iterator

from dcz.errors import DczError
from dcz.io import temporary
from dcz.io.sources import is_url
from dcz.jobs import places
from dcz.jobs.tasks import persistently

# The locks that this process holds now: one that a store did not let go of is not among them.
_held: set[bytes] = set()


class Lock:
    """The lock of a place, held from the beginning to `release`.

    Raises `DczError` where another job holds it. A lock whose process was killed is taken over on its own machine;
    from elsewhere nobody can know, and the error says which file to remove."""

    def __init__(self, path: str, target: str) -> None:
        self.path = path
        self._text = json.dumps(_owner()).encode()
        _held.add(self._text)
        try:
            self._take(path, target)
        except BaseException:
            _held.discard(self._text)
            raise

    def _take(self, path: str, target: str) -> None:
        if not persistently(lambda: places.create(path, self._text)) and not persistently(self._taken_over):
            owner = _parsed(persistently(lambda: places.read_bytes(path)))
            who = f"{owner.get('user', 'somebody')} on {owner.get('host', 'some machine')}"
            raise DczError(
                f"{target}: another job writes to it: process {owner.get('pid', '(unknown)')} of {who}, since "
                f"{owner.get('since', 'some time')}; wait for it, or remove {path} if it has ended"
            )

    def release(self) -> None:
        """Let others write there. If the place fails for good, the lock stays as that of a process that was killed."""
        if self._text in _held:
            try:
                persistently(self._removed)
            finally:
                _held.discard(self._text)

    def _removed(self) -> None:
        if places.read_bytes(self.path) == self._text:
            places.remove(self.path)

    def _taken_over(self) -> bool:
        """Replace the lock of a dead process of this machine; return whether it is ours now."""
        with _alone(self.path):
            found = places.read_bytes(self.path)
            owner = _parsed(found)
            process = (owner.get("place"), owner.get("pid"), owner.get("started"))
            dead = found not in _held if process == temporary.this_process() else temporary.is_dead(*process)
            if found is not None and not dead:
                return False
            places.remove(self.path)
            return places.create(self.path, self._text)


def _owner() -> dict[str, object]:
    place, pid, started = temporary.this_process()
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = str(os.getuid()) if hasattr(os, "getuid") else "somebody"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    token = os.urandom(8).hex()
    return {
        "host": platform.node(),
        "user": user,
        "place": place,
        "pid": pid,
        "started": started,
        "since": since,
        "token": token,
    }


def _parsed(data: bytes | None) -> dict[str, object]:
    """The owner that a lock names; nothing of one that is being written, or is not ours."""
    try:
        found = json.loads(data or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def _alone(path: str) -> Iterator[None]:
    """Of the processes of this machine one at a time takes a lock over."""
    if is_url(path) or os.name != "posix":
        yield
        return
    import fcntl

    descriptor = os.open(places.folder_of(path), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
