"""Data of ONNX models that lies in other files: in the model's own folder, and nowhere else."""

from __future__ import annotations

import os
import stat

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from dcz.errors import DczError, FormatError, TruncatedError, UnsupportedError
from dcz.io.sources import FileSource, read
from dcz.text import plural


def external_bytes(tensor: TensorProto, where: str, folder: str | None, size: int) -> NDArray[np.uint8]:
    """The `size` bytes of another file that are a tensor's elements."""
    if folder is None:
        raise DczError(f"{where}: external data: the model does not say in which folder; pass its path instead")
    fields = {entry.key: entry.value for entry in tensor.external_data}
    path = inside(folder, fields.get("location", ""), f"{where}: external data")
    numbers = [fields.get("offset", "0"), fields.get("length", str(size))]
    if any(not isinstance(n, str) or not (n.isascii() and n.isdigit()) or len(n) > 18 for n in numbers):
        raise FormatError(f"{where}: offset and length {numbers!r:.80} are not numbers")
    offset, length = map(int, numbers)
    if length != size:
        raise FormatError(f"{where}: expected {size} bytes for its shape, found {length}")
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UnsupportedError(f"{where}: {path} is not a regular file but a folder, pipe, socket or device")
    source = FileSource(path)
    try:
        if offset + size > source.size:
            short = offset + size - source.size
            raise TruncatedError(
                f"{where}: {path} is {plural(short, 'byte')} short ({source.size} in all); finish the download"
            )
        return read(source, offset, size)
    finally:
        source.close()


def inside(folder: str, location: str, where: str) -> str:
    """The path of a file that a model names: in the model's folder, also once links are followed.

    `folder` may be the path of the model itself: one that is a link, as in the hub's cache, may have its data beside
    the file it is linked to."""
    if not isinstance(location, str):  # protobuf gives the bytes of what is not text
        raise FormatError(f"{where}: {location!r:.80} is not valid UTF-8; fetch the file again")
    parts = location.replace("\\", "/").split("/")
    if not location or ".." in parts or parts[0] == "" or ":" in parts[0] or "\0" in location or parts == ["."]:
        raise FormatError(f"{where}: {location!r:.80} is outside the model's folder; put the file into it")
    homes = [os.path.realpath(folder)]
    if not os.path.isdir(folder):
        homes = [os.path.realpath(os.path.dirname(os.path.abspath(folder))), os.path.dirname(homes[0])]
        folder = os.path.dirname(os.path.abspath(folder))
    path = os.path.join(folder, location)
    if not any(os.path.realpath(path).startswith(os.path.join(home, "")) for home in homes):
        raise FormatError(
            f"{where}: {location!r:.80} is a link to outside the model's folder; put the file itself into it"
        )
    return path
