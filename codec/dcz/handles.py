"""`dcz.safe_open`: a dcz file with the interface of `safetensors.safe_open`, and tensors of any framework."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from numpy.typing import NDArray

from dcz.adapters import check_backend, convert_all
from dcz.container import Reader, ShardedReader
from dcz.container.slices import TensorSlice
from dcz.errors import DczError, locating
from dcz.plain.opening import open_any

if TYPE_CHECKING:
    from dcz.plain.reader import SafetensorsReader, SafetensorsSlice

Convert = Callable[[NDArray[Any], str, Any], Any]

# safetensors' names of frameworks, and the module whose `from_array(array, name, device)` makes their tensors.
_FRAMEWORKS = {
    "numpy": None,
    "np": None,
    "pt": "dcz.torch.tensors",
    "torch": "dcz.torch.tensors",
    "pytorch": "dcz.torch.tensors",
    "flax": "dcz.jax.tensors",
    "jax": "dcz.jax.tensors",
    "tf": "dcz.tensorflow",
    "tensorflow": "dcz.tensorflow",
    "mlx": "dcz.mlx",
    "paddle": "dcz.paddle",
}


class safe_open:
    """Opens a dcz file, or a safetensors file, for reading one tensor at a time, as `safetensors.safe_open` does.

    `dcz.open` is the richer way: a mapping that also knows layouts, clusters and sparse matrices.

    Args:
        filename: as in `dcz.load_file`.
        framework: "pt", "flax", "tf", "mlx", "paddle" or "numpy", and their other names in safetensors.
        device: where tensors go, by the framework's own name.
        backend: "mmap" or "pread"; both read alike here.

    Raises:
        DczError: an unknown framework or backend; or a file that is neither, see `dcz.errors`.
        ImportError: the framework is not installed; the message says how to install it.

    >>> import numpy, dcz
    >>> with dcz.safe_open(dcz.save({"w": numpy.arange(6).reshape(2, 3)}), "numpy") as file:
    ...     print(file.keys(), file.get_slice("w")[:, 1])
    ['w'] [1 4]
    """

    def __init__(
        self,
        filename: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
        framework: str,
        device: Any = "cpu",
        *,
        backend: str = "mmap",
    ) -> None:
        check_backend(backend)
        self._convert = _converter(framework)
        self._device = device
        self._reader: Reader | ShardedReader | SafetensorsReader | None = open_any(filename)

    def keys(self) -> list[str]:
        """Names of all tensors, sorted."""
        return sorted(self._open())

    def offset_keys(self) -> list[str]:
        """Names of all tensors in the order of the file, each with its aliases behind it."""
        reader = self._open()
        behind: dict[str, list[str]] = {name: [name] for name in reader if name not in reader.aliases}
        for alias, owner in reader.aliases.items():
            behind[owner].append(alias)
        return [name for names in behind.values() for name in names]

    def metadata(self) -> dict[str, Any] | None:
        """The file's metadata, None where there is none. Names that share a tensor are in it as `save_model` of
        safetensors writes them: the second name, and the name whose tensor it shares."""
        reader = self._open()
        return {**reader.aliases, **reader.metadata} or None

    def get_tensor(self, name: str) -> Any:
        """One tensor, decoded and verified. Raises `DczError` for a name that is not in the file."""
        with locating(self._open().source):
            return self._convert(self._open().get_tensor(self._known(name)), name, self._device)

    def get_tensors(self) -> dict[str, Any]:
        """All tensors by name, decoded with all threads; names of one tensor give one object."""
        names = self.offset_keys()
        with locating(self._open().source):
            found = convert_all(lambda array, name: self._convert(array, name, self._device), self._open().load())
        return {name: found[name] for name in names}

    def get_slice(self, name: str) -> SafeSlice:
        """A tensor that is read when it is indexed, and then only the chunks that the index touches."""
        return SafeSlice(self._open().get_slice(self._known(name)), name, self._convert, self._device)

    def _open(self) -> Reader | ShardedReader | SafetensorsReader:
        if self._reader is None:
            raise DczError("the file is closed; read tensors inside the with statement")
        return self._reader

    def _known(self, name: str) -> str:
        reader = self._open()
        if name not in reader:
            raise DczError(f"{reader.source}: there is no tensor {name!r}; keys() lists the {len(reader)} that are")
        return name

    def __enter__(self) -> safe_open:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class SafeSlice:
    """A tensor that is not read yet. It is indexed with integers, slices and `...`; as in safetensors, what lies beyond
    a dimension is an error and not cut off."""

    def __init__(self, source: TensorSlice | SafetensorsSlice, name: str, convert: Convert, device: Any) -> None:
        self._source, self._name, self._convert, self._device = source, name, convert, device

    def get_shape(self) -> list[int]:
        """The whole tensor's shape."""
        return self._source.get_shape()

    def get_dtype(self) -> str:
        """The dtype's code in safetensors, such as "F32"."""
        return self._source.get_dtype()

    def __getitem__(self, key: object) -> Any:
        if isinstance(key, list):
            if key:
                raise DczError("Non empty lists are not implemented")
            key = slice(0, 0)
        parts = key if isinstance(key, tuple) else (key,)
        checked = _checked(parts, self.get_shape())
        return self._convert(self._source[checked], self._name, self._device)


def _checked(parts: tuple[object, ...], shape: list[int]) -> tuple[object, ...]:
    """The index, refused where it leaves a dimension."""
    ahead, axis = parts.index(Ellipsis) if Ellipsis in parts else len(parts), 0
    for part in parts:
        if part is Ellipsis:
            axis = len(shape) - sum(each is not None for each in parts[ahead + 1 :])
            continue
        if part is None:
            continue
        if axis < len(shape):
            _check_part(part, parts, shape, axis)
        axis += 1
    return parts


def _check_part(part: object, parts: tuple[object, ...], shape: list[int], axis: int) -> None:
    size = shape[axis]
    beyond = None
    if isinstance(part, slice):
        if isinstance(part.stop, int) and part.stop > size:
            beyond = part.stop - 1
    elif isinstance(part, int):
        if part < -size:
            raise DczError(f"Invalid index {part} for dimension {axis} of size {size}")
        beyond = part if part >= size else None
    if beyond is not None:
        raise DczError(
            f"Error during slicing [{', '.join(map(_written, parts))}] with shape {shape}: "
            f"index {beyond} out of bounds for tensor dimension #{axis} of size {size}"
        )


def _written(part: object) -> str:
    """An index as it stands between brackets."""
    if not isinstance(part, slice):
        return "..." if part is Ellipsis else str(part)
    start, stop, step = ("" if each is None else str(each) for each in (part.start, part.stop, part.step))
    return f"{start}:{stop}" + (f":{step}" if step else "")


def _converter(framework: str) -> Convert:
    if framework not in _FRAMEWORKS:
        raise DczError(f"framework: expected one of {', '.join(_FRAMEWORKS)}, found {framework!r:.80}")
    module = _FRAMEWORKS[framework]
    if module is None:
        return lambda array, name, device: array
    convert: Convert = import_module(module).from_array
    return convert
