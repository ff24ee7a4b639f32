"""`.keras` archives: weights as HDF5, and the other members as metadata under `keras`, so that Keras loads the unpacked
archive."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

from dcz.convert.archives import ARCHIVE_ERRORS, check_alone, read_member
from dcz.convert.hdf5 import Hdf5Model
from dcz.convert.hdf5_writer import Hdf5Target
from dcz.convert.npz_writer import check_member
from dcz.errors import DczError, FormatError, LimitError
from dcz.io.sinks import PathSink

if TYPE_CHECKING:
    import h5py

_WEIGHTS = "model.weights.h5"
_MAX_MEMBERS = 8 << 20  # bytes of all members that are not weights: configuration, vocabularies


class KerasModel(Hdf5Model):
    """A `.keras` archive: the weights in it, and its configuration as metadata."""

    def _open(self) -> dict[str, object]:
        file = self._stack.enter_context(open(self._path, "rb"))
        try:
            archive = self._stack.enter_context(zipfile.ZipFile(file))
            check_alone(archive, self._path)
            found = [info for info in archive.infolist() if not info.filename.endswith("/")]
            infos = {info.filename: info for info in found}
            if len(infos) != len(found):
                raise FormatError(f"{self._path}: duplicate member")
            weights = infos.pop(_WEIGHTS)
            if sum(info.file_size for info in infos.values()) > _MAX_MEMBERS:
                raise LimitError(f"{self._path}: what is beside the weights takes more than {_MAX_MEMBERS} bytes")
            members = {name: b"".join(read_member(archive, info)) for name, info in infos.items()}
            self._root = self._file(self._place(archive, weights, file))
        except DczError:
            raise
        except ARCHIVE_ERRORS as error:
            raise FormatError(f"{self._path}: not a .keras archive with {_WEIGHTS} ({error})") from None
        return {name: _text(data) for name, data in members.items()}

    def _place(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: io.BufferedReader) -> BinaryIO:
        """Return the weights as a file: a range of the archive, or a temporary file if they are compressed."""
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size:
            archive.open(info).close()  # checks the member's own header
            file.seek(info.header_offset + 26)
            lengths = file.read(4)
            start = (
                info.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
            )
            return io.BufferedReader(_Part(file, start, info.file_size))
        allowed = self._guard.allowed
        if info.file_size > allowed:
            raise LimitError(f"{self._path}: {_WEIGHTS} would take {info.file_size} bytes; the limit is {allowed}")
        whole = self._stack.enter_context(tempfile.TemporaryFile())
        for part in read_member(archive, info):
            whole.write(part)
        return whole


class _Part(io.RawIOBase):
    """A range of a file, as a file."""

    def __init__(self, file: io.BufferedReader, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._at)]
        self._file.seek(self._start + self._at)
        done = self._file.readinto(view) or 0
        self._at += done
        return done


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class KerasTarget(Hdf5Target):
    """A `.keras` archive being written, from weights packed with their configuration."""

    def _start(self, metadata: Mapping[str, object], ordered: bool) -> h5py.File:
        members = metadata.get("keras")
        if not isinstance(members, Mapping) or "config.json" not in members:
            raise DczError(
                f"{os.fspath(self._path)}: the metadata have no configuration of a Keras model; only what was packed "
                "from a .keras file can become one again; write NAME.weights.h5 instead"
            )
        self._members: dict[str, str | bytes] = {}
        for name, data in members.items():
            check_member(name, self._path, "metadata: keras:")
            if not isinstance(data, (str, bytes)) or name == _WEIGHTS:
                kind = type(data).__name__
                raise DczError(f"{os.fspath(self._path)}: metadata: keras: {name!r:.80} cannot be a member ({kind})")
            self._members[name] = data
        self._scratch = tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(self._path)))
        return self._h5py.File(self._scratch, "w", track_order=ordered)

    def _finish(self) -> None:
        super()._finish()
        assert isinstance(self._sink, PathSink)
        with zipfile.ZipFile(self._sink.file, "w", allowZip64=True) as archive:
            for name, data in self._members.items():
                archive.writestr(zipfile.ZipInfo(name), data)
            self._scratch.seek(0)
            with archive.open(zipfile.ZipInfo(_WEIGHTS), "w", force_zip64=True) as file:
                while part := self._scratch.read(1 << 20):
                    file.write(part)
        self._scratch.close()

    def abandon(self) -> None:
        super().abandon()
        if hasattr(self, "_scratch"):
            self._scratch.close()
