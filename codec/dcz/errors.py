"""Every error dcz raises on purpose: one base class that is also a `ValueError`, one leaf per reaction.

Errors of the operating system (`OSError`, `FileNotFoundError`) pass through untouched.
"""


class DczError(ValueError):
    """Base of all errors of dcz; raised itself for arguments that make no sense."""


class FormatError(DczError):
    """The bytes are no valid dcz file. Reaction: find out who wrote it; reading again will not help."""


class ChecksumError(DczError):
    """Stored bytes do not match their CRC-32C. Reaction: fetch the file again."""


class TruncatedError(DczError):
    """The file ends early. Reaction: finish the copy or download."""


class UnsupportedError(DczError):
    """Something valid that this version does not do: a newer format, a dtype. Reaction: update or convert."""


class LimitError(DczError):
    """A size beyond a cap. Reaction: raise the cap (`max_bytes=`) if the file is trusted."""
