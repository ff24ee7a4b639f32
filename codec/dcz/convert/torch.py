"""PyTorch checkpoints: read without running what is pickled in them.

Reading is `torch.load(weights_only=True, mmap=True)` and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Hashable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from dcz.convert.archives import ARCHIVE_ERRORS, check_alone
from dcz.convert.guard import Guard
from dcz.convert.model import Tensor
from dcz.convert.torch_structure import MAX_DEPTH, Structure
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.extras import require
from dcz.text import plural

if TYPE_CHECKING:
    import torch
# Types of Python that torch does not let a pickle make, although making them runs no code and takes no more memory than
# the file.
_PLAIN_TYPES = [frozenset, complex]
# Where a tar archive says that it is one.
_TAR = 257


class TorchModel:
    """A checkpoint: a mapping of names to tensors, or containers of them, whose names are then paths joined by
    dots. Plain values beside them become metadata, with what it takes to put the containers together again; tensors
    that are the same memory become second names."""

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._path = os.fspath(path)
        self._guard = guard or Guard(path)
        self._torch = require("torch", "torch", path)
        from dcz.torch.tensors import CODES, identity, nbytes, stored_shape, to_array

        self._codes, self._nbytes, self._identity, self._to_array = CODES, nbytes, identity, to_array
        self._shape = stored_shape
        self._tensors: dict[str, torch.Tensor] = {}
        self._read: torch.Tensor | None = None
        self._owners: dict[Hashable, str] = {}
        self._seconds: dict[str, str] = {}
        self._named: set[str] = set()
        self._structure = Structure(self._torch)
        self._walk(self._load(), "", 0)
        self._mapped = _mapped(self._path)
        self.metadata: Mapping[str, object] = self._structure.metadata()
        self.aliases: Mapping[str, str] = self._seconds
        self.left_out: Mapping[str, str] = self._structure.left_out

    def _load(self) -> object:
        with open(self._path, "rb") as file:
            mapped = file.read(4) == b"PK\3\4"  # archives since 1.6; those before cannot be mapped
            if mapped:
                self._check_archive(file)
        try:
            with warnings.catch_warnings(), self._plain_types():
                warnings.simplefilter("ignore", UserWarning)  # what it has to say follows as an error
                if mapped:
                    return self._torch.load(self._path, map_location="cpu", weights_only=True, mmap=True)
                return self._load_old()
        except pickle.UnpicklingError as error:
            raise self._refused(str(error)) from None
        except DczError:
            raise
        except Exception as error:  # what a damaged pickle runs into is any error there is, assertions included
            raise self._unreadable(error) from None

    def _plain_types(self) -> AbstractContextManager[object]:
        allowed = getattr(self._torch.serialization, "safe_globals", None)  # since 2.5
        return contextlib.nullcontext() if allowed is None else allowed(_PLAIN_TYPES)

    def _load_old(self) -> object:
        """A checkpoint from before 1.6: pickles and storages, which end where the file does."""
        with open(self._path, "rb") as file:
            file.seek(_TAR)
            is_tar = file.read(5) == b"ustar"  # the oldest kind, padded at its end
            file.seek(0)
            value = self._torch.load(file, map_location="cpu", weights_only=True)
            rest = 0 if is_tar else self._guard.stored - file.tell()
        if rest > 0:
            raise FormatError(
                f"{self._path}: has {plural(rest, 'byte')} after its checkpoint, as a file does that several were "
                "saved to; save each to its own file"
            )
        return value

    def _check_archive(self, file: BinaryIO) -> None:
        """PyTorch stores members as they are: one that would grow when it is read is none of PyTorch's."""
        try:
            with zipfile.ZipFile(file) as archive:
                check_alone(archive, self._path)
                grown = [info.filename for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED]
        except DczError:
            raise
        except ARCHIVE_ERRORS:
            return  # PyTorch says what is wrong
        if grown:
            raise FormatError(f"{self._path}: not a PyTorch checkpoint (its member {grown[0]!r:.80} is compressed)")

    def _unreadable(self, error: Exception) -> Exception:
        text = str(error) or repr(error)
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            return error
        if isinstance(error, (EOFError, OSError)) or "central directory" in text or "unexpected EOF" in text:
            return TruncatedError(f"{self._path}: the checkpoint ends early; finish the download")
        if "TorchScript" in text:
            return UnsupportedError(
                f"{self._path}: a TorchScript archive, which is a program; save its weights alone: "
                "torch.save(torch.jit.load(...).state_dict(), 'weights.pt')"
            )
        return FormatError(f"{self._path}: not a PyTorch checkpoint ({text.splitlines()[0]:.200})")

    def _refused(self, text: str) -> DczError:
        asked = re.search(r"GLOBAL ([\w.]+)", text)
        if asked is None and "Can only" not in text and "Trying to" not in text:
            return FormatError(f"{self._path}: not a PyTorch checkpoint (its pickle is not valid)")
        what = f" for {asked[1]}" if asked else ""
        return UnsupportedError(
            f"{self._path}: refused: it asks{what} and so to run code when loaded; only tensors and plain containers "
            "are read. Where you trust it, load it and save its weights: torch.save(model.state_dict(), 'weights.pt')"
        )

    def _walk(self, value: object, path: str, depth: int, lost: str = "") -> None:
        """Names everything in a value. What is `lost`, as it cannot be named, may be left out unless it has tensors."""
        self._guard.visit()
        if depth > MAX_DEPTH:
            raise LimitError(f"{self._path}: nested deeper than {MAX_DEPTH} levels; save the weights alone")
        if isinstance(value, self._torch.Tensor):
            if lost:
                raise UnsupportedError(f"{self._path}: {path}: {lost}, but there are tensors in it; save them by name")
            if not path:
                path = os.path.basename(self._path).partition(".")[0] or "tensor"
                self._structure.root(path)
            self._tensor(value, path)
        elif lost:
            for item in _items(value):
                self._walk(item, path, depth + 1, lost)
        elif self._structure.value(path, value):
            self._unique(path)
        elif isinstance(value, (dict, list, tuple)):
            self._structure.container(path, value)
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                name = f"{path}.{key}" if path else str(key)
                if type(key) in (str, int):
                    self._walk(item, name, depth + 1)
                else:
                    self._leave_out(item, name[:200], depth, f"its key, a {type(key).__qualname__}, is not a name")
        else:
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            self._leave_out(value, path, depth, f"a {kind} is not a tensor, number or text")

    def _leave_out(self, value: object, path: str, depth: int, reason: str) -> None:
        self._walk(value, path, depth + 1, reason)
        self._structure.left_out[path] = reason

    def _unique(self, path: str) -> None:
        if path in self._named:
            raise FormatError(
                f"{self._path}: duplicate name {path!r:.80}, of two entries whose paths are joined by dots; rename "
                "one of them"
            )
        self._named.add(path)

    def _tensor(self, tensor: torch.Tensor, path: str) -> None:
        self._unique(path)
        if tensor.dtype not in self._codes:
            self._structure.left_out[path] = f"elements of {tensor.dtype} cannot be stored"
            return
        try:
            size = self._nbytes(tensor, path)
        except UnsupportedError as error:  # sparse, quantized, nested: what it is and the remedy
            self._structure.left_out[path] = str(error).partition(": ")[2]
            return
        tensor = tensor.detach()
        identity = self._identity(tensor) if size else None
        owner = path if identity is None else self._owners.setdefault(identity, path)
        if owner != path:
            self._seconds[path] = owner
        else:
            self._tensors[path] = tensor

    def tensors(self) -> list[Tensor]:
        return [Tensor(name, DTYPES[self._codes[t.dtype]], self._shape(t)) for name, t in self._tensors.items()]

    def read(self, name: str) -> np.ndarray:
        if self._read is not None:
            _forget(self._read, self._mapped)
        self._read = self._tensors[name]
        return self._to_array(self._read)

    def __enter__(self) -> TorchModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._tensors.clear()
        self._read = None


def _items(value: object) -> Iterator[object]:
    """The items of a container of any kind."""
    if isinstance(value, Mapping):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from value


def _mapped(path: str) -> list[tuple[int, int]]:
    """Where in memory a file is mapped, on Linux; nowhere elsewhere."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            lines = [line.split() for line in maps]
    except OSError:
        return []
    inode = str(os.stat(path).st_ino)
    ranges = [line[0].split("-") for line in lines if len(line) > 5 and line[4] == inode]
    return [(int(start, 16), int(end, 16)) for start, end in ranges]


def _forget(tensor: torch.Tensor, mapped: list[tuple[int, int]]) -> None:
    """Lets go of the pages of the mapped file that reading a tensor brought into memory; they are read again if
    asked for. Of memory that is not mapped from the file nothing may be let go."""
    storage = tensor.untyped_storage()
    start, end = storage.data_ptr(), storage.data_ptr() + storage.nbytes()
    if not any(first <= start and end <= last for first, last in mapped):
        return
    page = os.sysconf("SC_PAGE_SIZE")
    start, end = -(-start // page) * page, end // page * page
    if start < end:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), 4)  # MADV_DONTNEED
