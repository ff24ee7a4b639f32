"""The first bytes of a file, which identify it (SPEC 6). Everything else that opening needs is in the trailer."""

from __future__ import annotations

from dcz.errors import FormatError, TruncatedError
from dcz.format.pointers import pointer
from dcz.kernels.interface import U8
from dcz.text import plural

MAGIC = b"\x89DCZ\r\n\x1a\n"
SIZE = len(MAGIC)
# Bytes that suffice to recognise another format.
HEAD = 512

_OTHERS = {
    b"PK\x03\x04": "a zip archive, perhaps npz or a PyTorch checkpoint",
    b"\x93NUMPY": "a numpy array",
    b"\x89HDF": "an HDF5 file",
    b"GGUF": "a GGUF file",
}


def check(data: U8) -> None:
    """Refuse a file whose first bytes are not the magic number; `data` holds at least nine of them if there are."""
    raw = data[:16].tobytes()
    if raw[:SIZE] != MAGIC[: len(raw)]:
        what, remedy = pointer(data[:HEAD].tobytes()) or _guess(raw)
        raise FormatError(f"magic: this is not a dcz file, but {what}; {remedy}")
    if len(raw) < SIZE:
        raise TruncatedError(f"magic: the file ends after {plural(len(raw), 'byte')}; finish the copy or download")


def _guess(raw: bytes) -> tuple[str, str]:
    """Return what a file with these first bytes is, and the remedy."""
    if raw.split(b'"')[0].strip() == b"{":
        return "a JSON file, perhaps the index of a sharded model", "open it by its path with dcz.open or dcz.load_file"
    pack = "pack it first: dcz pack SRC DST"
    for magic, name in _OTHERS.items():
        if raw.startswith(magic):
            return name, pack
    if is_safetensors(raw):
        return "perhaps a safetensors file", pack
    return f"a file that begins with {raw[:8]!r}" if raw else "an empty file", pack


def is_safetensors(raw: bytes) -> bool:
    """Return whether a file that begins with these bytes may be a safetensors file."""
    return len(raw) >= 9 and raw[8:9] == b"{"
