"""The guard of every converter: it checks a file's kind and bounds what the file may make it allocate.

Files of other formats are not trusted: the path may be a pipe, shapes may be any numbers, containers may hold each
other, and a kilobyte may expand to gigabytes. A converter makes the guard first, from the path, and then calls:

    guard = Guard(path, ".h5", max_bytes=None)      regular, not empty, no web page, no Git LFS pointer
    guard.beside(weights)                           the same for a further file of the model; its bytes count
    guard.shape(shape, itemsize, where)             64 dimensions, sizes that fit 64 bits, zero times huge refused
    guard.name(name, where)                         text that can be stored
    guard.take(nbytes, what)                        bytes to be made, against one allowance
    guard.visit(where)                              one step of a walk, against one count

Every refusal is a `DczError` that begins with the file's name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from dcz import limits
from dcz.convert.kinds import HEAD, stranger
from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from dcz.io.opening import open_source
from dcz.io.sources import is_url, read
from dcz.tensor.shapes import check_shape

if TYPE_CHECKING:
    from dcz.convert.model import Model, Tensor

# A file whose containers share nothing has fewer entries than bytes; this many shared ones are allowed beyond that.
_SHARED_VISITS = 1 << 16
# Files of a package, as of Core ML: a handful.
_MAX_FILES = 10_000


class Guard:
    """The checks and bounds of one file, or of a model in several.

    Args:
        path: the file. Pipes, sockets and devices are refused without being opened.
        extension: the extension of its format, such as ".npz"; None where it is not known.
        max_bytes: how many bytes it may expand to. By default what `dcz.load_file` allows, and no less than the file's
            size. All tensors together may exceed the memory, as they are read one at a time.

    Raises `OSError` for a file that cannot be opened, `FormatError`, `TruncatedError` or `UnsupportedError` for
    what is not weights by its first bytes or not a regular file.
    """

    def __init__(
        self, path: str | os.PathLike[str], extension: str | None = None, max_bytes: int | None = None
    ) -> None:
        if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 0):
            raise DczError(f"max_bytes: expected a number of bytes, found {max_bytes!r:.40}")
        self.path = os.fspath(path)
        self.stored = 0
        self._max_bytes = max_bytes
        self._taken = self._visits = 0
        self._extension = extension
        if extension is not None and os.path.isdir(self.path):
            self._package()
        else:
            self.beside(self.path)

    def _package(self) -> None:
        """Check a folder that is one model: all its files count."""
        files = [os.path.join(root, name) for root, _, names in os.walk(self.path) for name in names]
        if len(files) > _MAX_FILES:
            raise LimitError(f"{self.path}: {len(files)} files; the limit is {_MAX_FILES}; is it one model?")
        for file in files:
            status = os.stat(file)
            _check_regular(file, status)
            self.stored += status.st_size

    def beside(self, path: str | os.PathLike[str], extension: str | None = None) -> int:
        """Check another file of the model, such as external data; count and return its bytes."""
        name = os.fspath(path)
        size = check_file(name, self._extension if name == self.path else extension)
        self.stored += size
        return size

    @property
    def allowed(self) -> int:
        """Bytes of memory that the stored bytes allow, as in `dcz.load_file`."""
        if self._max_bytes is not None:
            return self._max_bytes
        return _allowed(self.stored)

    @property
    def allowed_in_all(self) -> int:
        """Bytes that all tensors may take; one at a time is in memory."""
        if self._max_bytes is not None:
            return self._max_bytes
        return _allowed_in_all(self.stored)

    def take(self, nbytes: int, what: str) -> None:
        """Count bytes before they are allocated and kept."""
        self._taken += nbytes
        _check_bytes(f"{self.path}: {what}", self._taken, self.allowed)

    def visit(self, where: str = "") -> None:
        """Count one step of a walk. Containers that hold each other many times would take more steps than the file has
        bytes."""
        self._visits += 1
        if self._visits > self.stored + _SHARED_VISITS:
            raise LimitError(
                f"{self.path}: {where + ': ' if where else ''}its containers have more entries than the file has "
                "bytes, as some are in others many times; save the weights alone"
            )

    def shape(self, shape: Iterable[object], itemsize: int, where: str) -> tuple[int, ...]:
        """Check and return the shape of a tensor of `itemsize` bytes an element.

        The product of the lengths that are not zero is bounded, so that no intermediate size overflows."""
        return check_shape(shape, f"{self.path}: {where}", itemsize)

    def name(self, name: object, where: str = "a tensor's name") -> str:
        """Check and return a name: text of at most `limits.MAX_NAME_BYTES` bytes in UTF-8."""
        if not isinstance(name, str):
            raise FormatError(f"{self.path}: {where}: expected text, found {name!r:.80}")
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise FormatError(f"{self.path}: {where}: {name!r:.80} is not valid Unicode") from None
        if size > limits.MAX_NAME_BYTES:
            raise LimitError(
                f"{self.path}: {where}: {name!r:.40}: {size} bytes; the limit is {limits.MAX_NAME_BYTES}; shorten it"
            )
        return name

    def check(self, model: Model) -> None:
        """Check an open model as a whole: names, shapes, and the bytes of all tensors."""
        for name in (*(tensor.name for tensor in model.tensors()), *model.aliases):
            self.name(name)
        _check_sizes(self.path, model.tensors(), self.allowed, self.allowed_in_all)


def check_file(path: str | os.PathLike[str], extension: str | None = None) -> int:
    """Return the size of a regular file, after checking its first bytes against `extension`, if it is given.

    Raises `UnsupportedError` for pipes, sockets and devices, which may block or never end, and the errors of
    `dcz.convert.kinds` for downloads that are not weights."""
    name = os.fspath(path)
    size, head = first_bytes(name)
    if error := stranger(name, head, size, extension):
        raise error
    return size


def check_sizes(path: str | os.PathLike[str], tensors: Iterable[Tensor], stored: int) -> None:
    """Raise `LimitError` where a file of `stored` bytes would expand further than `dcz.load_file` allows: a tensor,
    which is in memory whole, or all tensors, which are not and so may exceed the memory."""
    _check_sizes(os.fspath(path), tensors, _allowed(stored), _allowed_in_all(stored))


def _allowed(stored: int) -> int:
    return max(stored, limits.default_max_bytes(stored))


def _allowed_in_all(stored: int) -> int:
    return max(limits.FREE_EXPANSION_BYTES, limits.EXPANSION_RATIO * stored)


def _check_sizes(path: str, tensors: Iterable[Tensor], allowed: int, allowed_in_all: int) -> None:
    total = 0
    for count, tensor in enumerate(tensors, 1):
        where = f"{path}: tensor {tensor.name!r:.80}"
        check_shape(tensor.shape, where, tensor.dtype.itemsize)
        total += tensor.nbytes
        _check_bytes(where, tensor.nbytes, allowed)
        _check_bytes(f"{where} and those before", total, allowed_in_all)
        if count > limits.MAX_TENSORS:
            raise LimitError(f"{path}: more than {limits.MAX_TENSORS} tensors; split the model into shards")


def _check_bytes(where: str, wanted: int, allowed: int) -> None:
    if wanted > allowed:
        raise LimitError(
            f"{where}: decoding needs {wanted} bytes; the limit is {allowed}; if the file is trusted, pass "
            f"max_bytes={wanted} (--max-bytes {wanted})"
        )


def first_bytes(path: str) -> tuple[int, bytes]:
    """Return size and first bytes of a regular file, or of one on a server. Nothing else is read: pipes and devices may
    block."""
    if is_url(path):
        with closing(open_source(path)) as source:
            return source.size, read(source, 0, min(HEAD, source.size)).tobytes()
    _check_regular(path, os.stat(path))
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    fd = os.open(path, flags)
    try:
        status = os.fstat(fd)  # it may have been replaced since
        _check_regular(path, status)
        return status.st_size, os.read(fd, HEAD)
    finally:
        os.close(fd)


def _check_regular(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "Is a directory", path)
    if not stat.S_ISREG(status.st_mode):
        names = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
        what = names.get(stat.S_IFMT(status.st_mode), "something else")
        raise UnsupportedError(f"{path}: is not a regular file but {what}; copy its contents to a file first")
