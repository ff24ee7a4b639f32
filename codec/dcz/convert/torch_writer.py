"""PyTorch checkpoints being written: the zip archive of `torch.save`, one storage at a time.

`torch.save` itself wants all dcz reads and writes them itself: the library's numpy functions lack bfloat16 and fp8, and
its writer needs all tensors The archive has `data.pkl`, which names the storages, and one stored member for each,
aligned so that `torch.load(mmap=True)` can map it."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from dcz.convert.holding import cannot_hold
from dcz.convert.model import Tensor
from dcz.convert.torch_structure import rebuild
from dcz.errors import DczError
from dcz.extras import require
from dcz.io.sinks import PathSink
from dcz.tensor import to_words

# Those that archives name by a class of storage, as every version of PyTorch reads; the others came later.
_STORAGES = {
    "BOOL": "BoolStorage", "U8": "ByteStorage", "I8": "CharStorage", "I16": "ShortStorage", "F16": "HalfStorage",
    "BF16": "BFloat16Storage", "I32": "IntStorage", "F32": "FloatStorage", "C64": "ComplexFloatStorage",
    "F64": "DoubleStorage", "I64": "LongStorage", "C128": "ComplexDoubleStorage",
}  # fmt: skip
_LATER = ("F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "U16", "U32", "U64")
# Those that it has two to a byte, the first in the low bits, and what it calls them.
_NAMES = {"F4": "float4_e2m1fn_x2"}
_HELD = (*_STORAGES, *_LATER, *_NAMES)
_ALIGN = 64
_ZIP_HEADER = 30


class _Storage:
    """Stands for a storage in the pickle: its key, and the elements of one type that it holds."""

    def __init__(self, key: str, kind: object, count: int) -> None:
        self.key, self.kind, self.count = key, kind, count


class _Entry:
    """Stands for a tensor in the pickle."""

    def __init__(self, storage: _Storage, tensor: Tensor, later_dtype: object | None) -> None:
        self.storage, self.shape, self.later_dtype = storage, tensor.shape, later_dtype


class TorchTarget:
    """A checkpoint being written: the one that was packed, its containers and values as metadata describe them, or
    else a flat state dict. Second names share their storage. Other metadata have no place in one."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._torch = require("torch", "torch", path)
        self._sink: PathSink | None = None
        self._keys: dict[str, str] = {}
        self._in_pairs: set[str] = set()

    def begin(self, tensors: list[Tensor], aliases: Mapping[str, str], metadata: Mapping[str, object]) -> None:
        entries: dict[str, _Entry] = {}
        for number, tensor in enumerate(tensors):
            self._keys[tensor.name] = str(number)
            entries[tensor.name] = self._entry(tensor, str(number))
        for name, owner in aliases.items():
            entries[name] = entries[owner]
        text = io.BytesIO()
        try:
            _pickler(self._torch)(text, protocol=2).dump(rebuild(entries, metadata, self._torch))
        except DczError as error:
            raise type(error)(f"{os.fspath(self._path)}: {error}") from None
        self._sink = PathSink(self._path)
        self._zip = zipfile.ZipFile(self._sink.file, "w", allowZip64=True)
        self._member("data.pkl", text.getvalue())
        self._member("byteorder", b"little")

    def _entry(self, tensor: Tensor, key: str) -> _Entry:
        code = tensor.dtype.code
        later = getattr(self._torch, _NAMES.get(code, tensor.dtype.name), None) if code in _HELD else None
        if later is None:
            raise cannot_hold(self._path, tensor, "PyTorch")
        if code in _NAMES:
            return self._pairs(tensor, key, later)
        if code in _STORAGES:
            count = tensor.nbytes // tensor.dtype.itemsize
            return _Entry(_Storage(key, getattr(self._torch, _STORAGES[code]), count), tensor, None)
        return _Entry(_Storage(key, self._torch.storage.UntypedStorage, tensor.nbytes), tensor, later)

    def _pairs(self, tensor: Tensor, key: str, later: object) -> _Entry:
        """Elements of four bits, of which PyTorch has two in a byte."""
        shape = tensor.shape
        if not shape or shape[-1] % 2:
            raise cannot_hold(self._path, tensor, "PyTorch", "as it has them in pairs")
        self._in_pairs.add(tensor.name)
        halved = Tensor(tensor.name, tensor.dtype, (*shape[:-1], shape[-1] // 2))
        storage = _Storage(key, self._torch.storage.UntypedStorage, halved.nbytes)
        return _Entry(storage, halved, later)

    def _member(self, name: str, data: bytes | memoryview) -> None:
        info = zipfile.ZipInfo(f"archive/{name}")  # without a clock: the same tensors, the same bytes
        assert self._sink is not None
        at = self._sink.file.tell() + _ZIP_HEADER + len(info.filename) + 20  # and a field of 64-bit sizes
        gap = -(at + 4) % _ALIGN
        info.extra = b"FB" + gap.to_bytes(2, "little") + b"Z" * gap
        with self._zip.open(info, "w", force_zip64=True) as file:
            file.write(data)

    def add(self, name: str, array: np.ndarray) -> None:
        data = to_words(array, name).data
        if name in self._in_pairs:
            data = (data[::2] | data[1::2] << 4).astype(np.uint8, copy=False)
        self._member(f"data/{self._keys[name]}", data.data)

    def close(self) -> None:
        assert self._sink is not None
        self._member("version", b"3\n")
        self._zip.close()
        self._sink.publish()

    def abandon(self) -> None:
        if self._sink is not None:
            with contextlib.suppress(OSError, ValueError):  # an open archive would raise an error when it is collected
                self._zip.close()
            self._sink.abandon()


def _pickler(torch: ModuleType) -> type[pickle.Pickler]:
    """A pickler that writes what stands for tensors and storages as PyTorch writes tensors and storages."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            if isinstance(value, _Storage):
                return ("storage", value.kind, value.key, "cpu", value.count)
            return None

        def reducer_override(self, value: object) -> Any:
            if not isinstance(value, _Entry):
                return NotImplemented
            strides = tuple(np.cumprod((1, *(max(n, 1) for n in value.shape[:0:-1]))).tolist()[::-1])
            strides = strides[: len(value.shape)]
            hooks: OrderedDict[str, object] = OrderedDict()
            about = (value.storage, 0, value.shape, strides, False, hooks)
            if value.later_dtype is None:
                return torch._utils._rebuild_tensor_v2, about
            return torch._utils._rebuild_tensor_v3, (*about, value.later_dtype)

    return Pickler
