"""The first 64 bytes of a file: what it is and what a reader must know to read it (SPEC 2.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from dcz import kernels
from dcz.errors import ChecksumError, FormatError, TruncatedError, UnsupportedError
from dcz.kernels.interface import U8

MAGIC = b"\x89DCZ\r\n\x1a\n"
SIZE = 64
# 0 is the draft before the first frozen version.
FORMAT_VERSION = 0
KNOWN_FEATURES = 0

_FIELDS = struct.Struct("<8sI4xQQ28x")
_CRC = struct.Struct("<I")

_OTHERS = {
    b"PK\x03\x04": "a zip archive, perhaps npz or a PyTorch checkpoint",
    b"\x93NUMPY": "a numpy array",
    b"\x89HDF": "an HDF5 file",
    b"GGUF": "a GGUF file",
}


@dataclass(frozen=True, slots=True)
class Features:
    """Feature bits: `must_understand` ones stop a reader that lacks them, `may_ignore` ones do not."""

    must_understand: int = 0
    may_ignore: int = 0

    def check(self) -> None:
        unknown = self.must_understand & ~KNOWN_FEATURES
        if unknown:
            raise UnsupportedError(
                f"must_understand: the file needs features {unknown:#x} that this version of dcz lacks; update dcz"
            )


def check_version(version: int) -> None:
    if version != FORMAT_VERSION:
        raise UnsupportedError(
            f"version: the file has format version {version}, this dcz reads {FORMAT_VERSION}; "
            + ("update dcz" if version > FORMAT_VERSION else "pack it again from its source")
        )


def pack(features: Features) -> bytes:
    """The 64 bytes."""
    head = _FIELDS.pack(MAGIC, FORMAT_VERSION, features.must_understand, features.may_ignore)
    return head + _CRC.pack(kernels.active().crc32c(np.frombuffer(head, np.uint8)))


def parse(data: U8) -> Features:
    """Checks magic, checksum, version and zeros, in this order."""
    raw = data.tobytes()
    if raw[:8] != MAGIC[: len(raw)]:
        raise FormatError(f"magic: this is not a dcz file, but {_guess(raw)}; pack it first: dcz pack SRC DST")
    if len(raw) < SIZE:
        raise TruncatedError(f"prelude: the file ends after {len(raw)} bytes, the prelude alone has {SIZE}")
    magic, version, must_understand, may_ignore = _FIELDS.unpack_from(raw)
    if _CRC.unpack_from(raw, SIZE - 4)[0] != kernels.active().crc32c(data[: SIZE - 4]):
        raise ChecksumError("prelude: does not match its CRC-32C; fetch the file again")
    check_version(version)
    if raw[: SIZE - 4] != _FIELDS.pack(magic, version, must_understand, may_ignore):
        raise FormatError("prelude: reserved bytes are not zero")
    features = Features(must_understand, may_ignore)
    features.check()
    return features


def _guess(raw: bytes) -> str:
    for magic, name in _OTHERS.items():
        if raw.startswith(magic):
            return name
    if len(raw) >= 9 and raw[8:9] == b"{":
        return "perhaps a safetensors file"
    return f"a file that begins with {raw[:8]!r}" if raw else "an empty file"
