"""The last 40 bytes of a file: its version, the features it needs, the place of the index (SPEC 6.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from dcz import kernels, limits
from dcz.errors import ChecksumError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.format.prelude import SIZE as PRELUDE_SIZE
from dcz.kernels.interface import U8
from dcz.text import plural

MAGIC = b"ZCD\x89"
SIZE = 40
FORMAT_VERSION = 1

# Feature bits: a reader must know every bit that is set.
HAS_BASE = 1  # tensors may be stored as differences to those of a base (SPEC 8)
KNOWN_FEATURES = HAS_BASE

# How the index is stored.
RAW_INDEX, ZSTD_INDEX = 0, 1

_FIELDS = struct.Struct("<QQIIIHBx")
_END = struct.Struct("<I4s")


@dataclass(frozen=True, slots=True)
class Trailer:
    """Length of the whole file in bytes, the feature bits, bytes of the index as stored and decompressed, its
    checksum as stored, and whether it is stored raw (0) or as a zstd frame (1)."""

    file_length: int
    features: int
    index_stored: int
    index_bytes: int
    index_crc32c: int
    index_coder: int

    @property
    def index_offset(self) -> int:
        """Return where the index begins: it ends where the trailer begins."""
        return self.file_length - SIZE - self.index_stored

    @staticmethod
    def of(index_offset: int, features: int, stored: bytes, index_bytes: int, coder: int) -> Trailer:
        """Return the trailer of a file whose segments end at `index_offset`, with this stored index."""
        crc = kernels.active().crc32c(np.frombuffer(stored, np.uint8))
        return Trailer(index_offset + len(stored) + SIZE, features, len(stored), index_bytes, crc, coder)

    def pack(self) -> bytes:
        """Return the 40 bytes."""
        head = _FIELDS.pack(
            self.file_length, self.features, self.index_stored, self.index_bytes, self.index_crc32c,
            FORMAT_VERSION, self.index_coder,
        )  # fmt: skip
        return head + _END.pack(kernels.active().crc32c(np.frombuffer(head, np.uint8)), MAGIC)

    @staticmethod
    def parse(data: U8, file_length: int) -> Trailer:
        """Parse the last bytes of a file of `file_length` bytes. The version is checked before any other field."""
        raw = data[-SIZE:].tobytes()
        if len(raw) < SIZE or raw[-4:] != MAGIC:
            raise TruncatedError(
                f"trailer: the file ends after {plural(file_length, 'byte')} without one; finish the copy or download"
            )
        crc, _ = _END.unpack_from(raw, SIZE - _END.size)
        head = raw[: _FIELDS.size]
        if crc != kernels.active().crc32c(np.frombuffer(head, np.uint8)):
            raise ChecksumError("trailer: does not match its CRC-32C; fetch the file again")
        length, features, stored, size, index_crc, version, coder = _FIELDS.unpack(head)
        check_version(version)
        if head[-1]:
            raise FormatError("trailer: the reserved byte is not zero")
        check_features(features)
        trailer = Trailer(length, features, stored, size, index_crc, coder)
        trailer._check_length(file_length)
        trailer.check_index()
        return trailer

    def _check_length(self, file_length: int) -> None:
        if self.file_length > file_length:
            raise TruncatedError(
                f"trailer: the file should have {self.file_length} bytes, but has {file_length}; "
                "finish the copy or download"
            )
        if self.file_length < file_length:
            raise FormatError(
                f"trailer: the file should have {self.file_length} bytes, but has {file_length}; "
                "something was put in front of it or two files were joined"
            )
        if self.index_offset < PRELUDE_SIZE:
            raise FormatError(f"trailer: an index of {self.index_stored} bytes does not fit the file")

    def check_index(self) -> None:
        """Check the index's numbers: readers do before reading it, writers before publishing."""
        if self.index_coder not in (RAW_INDEX, ZSTD_INDEX):
            raise FormatError(f"trailer: index coder: expected 0 (raw) or 1 (zstd), found {self.index_coder}")
        if self.index_coder == RAW_INDEX and self.index_stored != self.index_bytes:
            raise FormatError(
                f"trailer: a raw index has {self.index_bytes} bytes, but takes {self.index_stored} in the file"
            )
        for size, how in ((self.index_bytes, ""), (self.index_stored, " as stored")):
            if size > limits.MAX_INDEX_BYTES:
                raise LimitError(
                    f"index: {size} bytes{how}; the limit is {limits.MAX_INDEX_BYTES}; split the file into shards"
                )
        most = limits.index_bytes_for(self.file_length)
        if self.index_bytes > most:
            raise FormatError(
                f"index: {self.index_bytes} bytes; a file of {self.file_length} bytes has an index of at most {most}"
            )


def check_version(version: int) -> None:
    """Refuse every version but this one."""
    if version != FORMAT_VERSION:
        raise UnsupportedError(
            f"version: the file has format version {version}, this dcz reads {FORMAT_VERSION}; "
            + ("update dcz" if version > FORMAT_VERSION else "pack it again from its source")
        )


def check_features(features: int) -> None:
    """Refuse feature bits that this version does not know."""
    unknown = features & ~KNOWN_FEATURES
    if unknown:
        bits = ", ".join(str(bit) for bit in range(64) if unknown >> bit & 1)
        raise UnsupportedError(
            f"features: the file needs features {unknown:#x} (bit {bits}), which this version of dcz lacks; update dcz"
        )
