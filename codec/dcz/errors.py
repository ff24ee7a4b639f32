"""Every error dcz raises on purpose: one base class that is also a `ValueError`, one leaf per reaction.

Errors of the operating system (`OSError`, `FileNotFoundError`) pass through untouched.
"""

from __future__ import annotations

from dcz.text import printable_lines


class DczError(ValueError):
    """Base of all errors of dcz; raised itself for invalid arguments.

    Its text may quote names from a stranger's file and is shown on terminals: what is not printable is escaped. `file`
    names the file that is at fault where one is: its path or URL, `<bytes>` for bytes in memory. The message then
    begins with it."""

    file: str | None = None

    def __str__(self) -> str:
        return printable_lines(super().__str__())

    def located(self, file: str) -> DczError:
        """The same error, which names a file; one that names a file already stays as it is."""
        if self.file is None:
            self.file = file
            message = super().__str__()
            if not message.startswith(f"{file}: "):
                self.args = (f"{file}: {message}", *self.args[1:])
        return self


class locating:
    """A context in which errors of dcz are about one file and name it.

    >>> with locating("model.dcz"):
    ...     raise DczError("index: is not whole")
    Traceback (most recent call last):
    dcz.errors.DczError: model.dcz: index: is not whole
    """

    def __init__(self, file: str) -> None:
        self._file = file

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DczError):
            error.located(self._file)


class FormatError(DczError):
    """The bytes are not a valid dcz file. Reaction: find out who wrote it; reading again will not help."""


class ChecksumError(DczError):
    """Stored bytes do not match their CRC-32C. Reaction: fetch the file again."""


class TruncatedError(DczError):
    """The file ends early. Reaction: finish the copy or download."""


class UnsupportedError(DczError):
    """Something valid that this version does not do: a newer format, a dtype. Reaction: update or convert."""


class MissingLibraryError(UnsupportedError, ImportError):
    """A library of an extra is missing or broken. Reaction: install the extra that the message names."""

    def __init__(self, message: str, *, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class LimitError(DczError):
    """A size beyond a cap. Reaction: raise the cap (`max_bytes=`) if the file is trusted."""


class BaseError(DczError):
    """The base is not the one that a file of differences was made from. Reaction: find the right base, or apply the
    files of a chain in their order."""
