"""PyTorch checkpoints: read without running what is pickled in them, and written one storage at a time.

Reading is `torch.load(weights_only=True, mmap=True)` and nothing else. Writing makes the zip archive of
`torch.save` itself, since that wants all tensors in memory at once: `data.pkl`, which names the storages, and one
stored member for each, aligned so that `torch.load(mmap=True)` can map it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import os
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from dcz import limits
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.extras import need
from dcz.io.sinks import PathSink
from dcz.tensor import from_words, to_words

if TYPE_CHECKING:
    import torch

# PyTorch's names of our dtypes; those that it lacks or packs are not there.
_TORCH = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz", "I16": "int16",
    "U16": "uint16", "F16": "float16", "BF16": "bfloat16", "I32": "int32", "U32": "uint32", "F32": "float32",
    "C64": "complex64", "F64": "float64", "I64": "int64", "U64": "uint64",
}  # fmt: skip
_CODES = {f"torch.{name}": code for code, name in _TORCH.items()}
# Those that archives name by a class of storage, as every version of PyTorch reads; the others came later.
_STORAGES = {
    "BOOL": "BoolStorage", "U8": "ByteStorage", "I8": "CharStorage", "I16": "ShortStorage", "F16": "HalfStorage",
    "BF16": "BFloat16Storage", "I32": "IntStorage", "F32": "FloatStorage", "C64": "ComplexFloatStorage",
    "F64": "DoubleStorage", "I64": "LongStorage",
}  # fmt: skip
_ALIGN = 64
_ZIP_HEADER = 30
_DEPTH = 64


class TorchModel:
    """A checkpoint: a mapping of names to tensors, or containers of them, whose names are then paths joined by
    dots. Numbers, texts and None beside them become metadata; tensors that are the same memory second names."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        os.stat(path)  # a missing file is the operating system's to report
        self._torch = need("torch", "torch", path)
        self._tensors: dict[str, torch.Tensor] = {}
        self._read: torch.Tensor | None = None
        self.metadata: Mapping[str, object] = {}
        self.aliases: Mapping[str, str] = {}
        self._owners: dict[tuple, str] = {}
        self._plain: dict[str, object] = {}
        self._seconds: dict[str, str] = {}
        self._walk(self._load(), "", 0)
        self._mapped = _mapped(self._path)
        self.metadata, self.aliases = self._plain, self._seconds
        allowed = limits.default_max_bytes(os.path.getsize(path))
        total = sum(tensor.numel() * tensor.element_size() for tensor in self._tensors.values())
        if total > allowed:
            raise LimitError(f"{self._path}: its tensors would take {total} bytes, allowed are {allowed}")

    def _load(self) -> object:
        with open(self._path, "rb") as file:
            mapped = file.read(4) == b"PK\3\4"  # archives since 1.6; those before cannot be mapped
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # what it has to say follows as an error
                return self._torch.load(self._path, map_location="cpu", weights_only=True, mmap=mapped)
        except pickle.UnpicklingError as error:
            raise self._refused(str(error)) from None
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, OSError) as error:
            raise self._unreadable(error) from None

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
        return FormatError(f"{self._path}: no PyTorch checkpoint ({text.splitlines()[0]:.200})")

    def _refused(self, text: str) -> DczError:
        asked = re.search(r"GLOBAL ([\w.]+)", text)
        if asked is None and "Can only" not in text and "Trying to" not in text:
            return FormatError(f"{self._path}: no PyTorch checkpoint (what is pickled in it makes no sense)")
        what = f" for {asked[1]}" if asked else ""
        return UnsupportedError(
            f"{self._path}: refused: it asks{what} and so to run code when loaded; only tensors and plain containers "
            "are read. Where you trust it, load it and save its weights: torch.save(model.state_dict(), 'weights.pt')"
        )

    def _walk(self, value: object, path: str, depth: int) -> None:
        if depth > _DEPTH:
            raise LimitError(f"{self._path}: nested deeper than {_DEPTH}")
        if isinstance(value, self._torch.Tensor):
            self._tensor(value, path or os.path.basename(self._path).rpartition(".")[0])
        elif isinstance(value, (dict, list, tuple, self._torch.Size)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                if not isinstance(key, (str, int)):
                    raise UnsupportedError(f"{self._path}: {path or 'the mapping'}: a key {key!r:.80} makes no name")
                self._walk(item, f"{path}.{key}" if path else str(key), depth + 1)
        elif value is None or isinstance(value, (bool, int, float, str, bytes)):
            self._unique(path)
            self._plain[path] = value
        elif isinstance(value, (self._torch.dtype, self._torch.device)):
            self._unique(path)
            self._plain[path] = str(value)
        else:
            raise UnsupportedError(
                f"{self._path}: {path}: a {type(value).__module__}.{type(value).__qualname__} is no tensor, number or text"
            )

    def _unique(self, path: str) -> None:
        if path in self._tensors or path in self._plain or path in self._seconds:
            raise FormatError(
                f"{self._path}: two entries have the name {path!r:.80} once their paths are joined by dots"
            )

    def _tensor(self, tensor: torch.Tensor, path: str) -> None:
        self._unique(path)
        where = f"{self._path}: tensor {path!r:.80}"
        if tensor.layout is not self._torch.strided or tensor.is_quantized:
            kind = "quantized" if tensor.is_quantized else str(tensor.layout)
            raise UnsupportedError(f"{where} is {kind}; save it as dense tensors (.to_dense(), .int_repr())")
        if str(tensor.dtype) not in _CODES:
            raise UnsupportedError(f"{where}: {tensor.dtype} cannot be stored; allowed are {', '.join(_CODES)}")
        tensor = tensor.detach()
        place = (
            tensor.untyped_storage().data_ptr(),
            tensor.storage_offset(),
            tensor.shape,
            tensor.stride(),
            tensor.dtype,
        )
        owner = self._owners.setdefault(place, path) if tensor.numel() and not tensor.is_conj() else path
        if owner != path:
            self._seconds[path] = owner
        else:
            self._tensors[path] = tensor

    def tensors(self) -> list[Tensor]:
        return [Tensor(name, DTYPES[_CODES[str(t.dtype)]], tuple(t.shape)) for name, t in self._tensors.items()]

    def read(self, name: str) -> np.ndarray:
        if self._read is not None:
            _forget(self._read, self._mapped)
        tensor = self._tensors[name]
        dtype = DTYPES[_CODES[str(tensor.dtype)]]
        self._read = tensor
        plain = tensor.resolve_conj().resolve_neg().contiguous().reshape(-1)
        if plain.numel() == 0:
            return np.empty(tuple(tensor.shape), dtype.numpy())
        return from_words(plain.view(self._torch.uint8).numpy(), dtype, tuple(tensor.shape))

    def __enter__(self) -> TorchModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._tensors.clear()
        self._read = None


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


class _Storage:
    """Stands for a storage in the pickle: its key, and the elements of one type that it holds."""

    def __init__(self, key: str, kind: object, count: int) -> None:
        self.key, self.kind, self.count = key, kind, count


class _Entry:
    """Stands for a tensor in the pickle."""

    def __init__(self, storage: _Storage, tensor: Tensor, later_dtype: object | None) -> None:
        self.storage, self.shape, self.later_dtype = storage, tensor.shape, later_dtype


class TorchTarget:
    """A checkpoint being written: a state dict as `torch.save` makes it. Second names share their storage.
    Metadata have no place in one and are left out."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._torch = need("torch", "torch", path)
        self._sink: PathSink | None = None
        self._keys: dict[str, str] = {}

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        entries: dict[str, _Entry] = {}
        for number, tensor in enumerate(tensors):
            self._keys[tensor.name] = str(number)
            entries[tensor.name] = self._entry(tensor, str(number))
        for name, owner in aliases.items():
            entries[name] = entries[owner]
        text = io.BytesIO()
        _pickler(self._torch)(text, protocol=2).dump(OrderedDict(sorted(entries.items())))
        self._sink = PathSink(self._path)
        self._zip = zipfile.ZipFile(self._sink.file, "w", allowZip64=True)
        self._member("data.pkl", text.getvalue())
        self._member("byteorder", b"little")

    def _entry(self, tensor: Tensor, key: str) -> _Entry:
        code = tensor.dtype.code
        later = getattr(self._torch, _TORCH.get(code, ""), None)
        if later is None:
            raise UnsupportedError(f"tensor {tensor.name!r}: PyTorch cannot hold {code}; write safetensors instead")
        if code in _STORAGES:
            count = tensor.nbytes // tensor.dtype.itemsize
            return _Entry(_Storage(key, getattr(self._torch, _STORAGES[code]), count), tensor, None)
        return _Entry(_Storage(key, self._torch.storage.UntypedStorage, tensor.nbytes), tensor, later)

    def _member(self, name: str, data: bytes | np.ndarray) -> None:
        info = zipfile.ZipInfo(f"archive/{name}")  # without a clock: the same tensors, the same bytes
        assert self._sink is not None
        at = self._sink.file.tell() + _ZIP_HEADER + len(info.filename) + 20  # and a field of 64-bit sizes
        gap = -(at + 4) % _ALIGN
        info.extra = b"FB" + gap.to_bytes(2, "little") + b"Z" * gap
        with self._zip.open(info, "w", force_zip64=True) as file:
            file.write(data)

    def add(self, name: str, array: np.ndarray) -> None:
        self._member(f"data/{self._keys[name]}", to_words(array, name).data)

    def close(self) -> None:
        assert self._sink is not None
        self._member("version", b"3\n")
        self._zip.close()
        self._sink.publish()

    def abandon(self) -> None:
        if self._sink is not None:
            with contextlib.suppress(OSError, ValueError):  # left open, it would complain of its file later
                self._zip.close()
            self._sink.abandon()


def _pickler(torch: object) -> type[pickle.Pickler]:
    """A pickler that writes what stands for tensors and storages as PyTorch writes tensors and storages."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            if isinstance(value, _Storage):
                return ("storage", value.kind, value.key, "cpu", value.count)
            return None

        def reducer_override(self, value: object) -> object:
            if not isinstance(value, _Entry):
                return NotImplemented
            strides = tuple(np.cumprod((1, *(max(n, 1) for n in value.shape[:0:-1]))).tolist()[::-1])
            strides = strides[: len(value.shape)]
            about = (value.storage, 0, value.shape, strides, False, OrderedDict())
            if value.later_dtype is None:
                return torch._utils._rebuild_tensor_v2, about
            return torch._utils._rebuild_tensor_v3, (*about, value.later_dtype)

    return Pickler
