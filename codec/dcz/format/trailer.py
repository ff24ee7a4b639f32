"""The last 32 bytes of a file: where the index is, and that the file is whole (SPEC 2.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from dcz import kernels, limits
from dcz.errors import ChecksumError, FormatError, LimitError, TruncatedError
from dcz.format.prelude import FORMAT_VERSION, check_version
from dcz.format.prelude import SIZE as PRELUDE_SIZE
from dcz.kernels.interface import U8

MAGIC = b"ZCD\x89"
SIZE = 32

_FIELDS = struct.Struct("<QIIIHxx")
_END = struct.Struct("<I4s")


@dataclass(frozen=True, slots=True)
class Trailer:
    """Length of the whole file, bytes of the index as stored and decompressed, its checksum as stored."""

    file_length: int
    index_stored: int
    index_bytes: int
    index_crc32c: int

    @property
    def index_offset(self) -> int:
        """The index ends where the trailer begins."""
        return self.file_length - SIZE - self.index_stored

    def pack(self) -> bytes:
        """The 32 bytes."""
        head = _FIELDS.pack(self.file_length, self.index_stored, self.index_bytes, self.index_crc32c, FORMAT_VERSION)
        return head + _END.pack(kernels.active().crc32c(np.frombuffer(head, np.uint8)), MAGIC)

    @staticmethod
    def parse(data: U8, file_length: int) -> Trailer:
        """From the last bytes of a file of `file_length` bytes."""
        raw = data[-SIZE:].tobytes()
        if len(raw) < SIZE or raw[-4:] != MAGIC:
            raise TruncatedError(
                f"trailer: the file ends after {file_length} bytes without one; finish the copy or download"
            )
        crc, _ = _END.unpack_from(raw, SIZE - _END.size)
        head = raw[: _FIELDS.size]
        if crc != kernels.active().crc32c(np.frombuffer(head, np.uint8)):
            raise ChecksumError("trailer: does not match its CRC-32C; fetch the file again")
        *numbers, version = _FIELDS.unpack(head)
        check_version(version)
        trailer = Trailer(*numbers)
        if head != _FIELDS.pack(*numbers, version):
            raise FormatError("trailer: reserved bytes are not zero")
        if trailer.file_length > file_length:
            raise TruncatedError(
                f"trailer: the file should have {trailer.file_length} bytes, but has {file_length}; "
                "finish the copy or download"
            )
        if trailer.file_length < file_length:
            raise FormatError(
                f"trailer: the file should have {trailer.file_length} bytes, but has {file_length}; "
                "something was put in front of it or two files were joined"
            )
        if trailer.index_offset < PRELUDE_SIZE:
            raise FormatError(f"trailer: an index of {trailer.index_stored} bytes does not fit the file")
        if trailer.index_stored > limits.MAX_INDEX_STORED or trailer.index_bytes > limits.MAX_INDEX_BYTES:
            raise LimitError(
                f"index: {trailer.index_bytes} bytes ({trailer.index_stored} stored) are more than the "
                f"{limits.MAX_INDEX_BYTES} that dcz reads; split the file into shards"
            )
        return trailer
