"""Attributes of HDF5 objects as metadata, and back with the types they had.

A value is kept as metadata, its type and shape beside it: `<f4` and numpy's other names of numbers,
`str:utf-8` for strings of any length, `str:ascii:5:nullpad` for those of five bytes, `empty:` before one without
values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from dcz.errors import DczError, UnsupportedError
from dcz.text import plural

if TYPE_CHECKING:
    import h5py
    from h5py import h5t


# Larger values are bytes in metadata: no one reads them there.
_READABLE = 1024
_LARGEST = 4 << 20
_MAX_RANK = 8
_NUMBER = re.compile(r"\|b1|\|[iu]1|[<>][iufc](2|4|8|16|32)|[<>]c(8|16|32)")
_STRING = re.compile(r"str:(utf-8|ascii)(?::(\d{1,7}):(nullterm|nullpad|spacepad))?")
# The numbers that H5T_CSET_* and H5T_STR_* have in HDF5.
_SETS = {"ascii": 0, "utf-8": 1}
_PADS = {"nullterm": 0, "nullpad": 1, "spacepad": 2}


class Unkept(Exception):
    """An attribute that metadata cannot hold; the message says why."""


def read(
    item: h5py.HLObject, key: str, where: str, check_heaps: Callable[[], None]
) -> tuple[object, str, list[int] | None]:
    """Return value, type and shape (None for a scalar) of an attribute. `check_heaps` is called before strings of any
    length are read.

    Raises `Unkept`, and `UnsupportedError` for references, which would point nowhere in another file."""
    from h5py import h5a, h5s

    attribute = h5a.open(item.id, key.encode(errors="surrogateescape"))
    kind, space = attribute.get_type(), attribute.get_space()
    name = _describe(kind, where)
    if space.get_simple_extent_type() == h5s.NULL:
        return None, f"empty:{name}", None
    shape = None if space.get_simple_extent_type() == h5s.SCALAR else list(space.shape)
    if prod(shape or ()) * kind.get_size() > _LARGEST:
        raise Unkept(f"an attribute of more than {_LARGEST} bytes")
    if _STRING.fullmatch(name) and name.count(":") == 1:
        check_heaps()
    value = item.attrs[key]
    if name.startswith("str:"):
        return _nested(_text, np.asarray(value, object), shape), name, shape
    array = np.asarray(value)
    if array.ndim <= _MAX_RANK and array.size <= _READABLE and name[1] in "biuf":
        plain = array.tolist()
        if np.array(plain, array.dtype).tobytes() == array.tobytes():  # some NaNs and long doubles differ
            return plain, name, shape
    return array.tobytes(), name, shape


def _describe(kind: h5t.TypeID, where: str) -> str:
    from h5py import h5t

    if isinstance(kind, h5t.TypeStringID):
        charset = "utf-8" if kind.get_cset() == h5t.CSET_UTF8 else "ascii"
        if kind.is_variable_str():
            return f"str:{charset}"
        pad = next(name for name, pad in _PADS.items() if pad == kind.get_strpad())
        return f"str:{charset}:{kind.get_size()}:{pad}"
    if _has_references(kind):
        raise UnsupportedError(f"{where}: refers to other objects of the file, which a packed file cannot; delete it")
    try:
        dtype = kind.dtype
    except (TypeError, ValueError) as error:
        raise Unkept(f"an attribute of a type that numpy lacks ({error})") from None
    if _NUMBER.fullmatch(dtype.str) is None or dtype.kind == "V" or (dtype.metadata and dtype != np.dtype(bool)):
        raise Unkept(f"an attribute of type {dtype}")
    return dtype.str


def _has_references(kind: h5t.TypeID) -> bool:
    from h5py import h5t

    if isinstance(kind, h5t.TypeReferenceID):
        return True
    if isinstance(kind, h5t.TypeCompoundID):
        return any(_has_references(kind.get_member_type(i)) for i in range(kind.get_nmembers()))
    return isinstance(kind, (h5t.TypeVlenID, h5t.TypeArrayID)) and _has_references(kind.get_super())


def _nested(convert: object, array: np.ndarray, shape: list[int] | None) -> object:
    if shape is None:
        return convert(array[()])  # type: ignore[operator]
    if array.ndim > _MAX_RANK:
        raise Unkept(f"an attribute of {plural(array.ndim, 'dimension')}")
    flat = np.empty(array.shape, object)
    flat.reshape(-1)[:] = [convert(each) for each in array.reshape(-1)]  # type: ignore[operator]
    return flat.tolist()


def _text(value: object) -> str | bytes:
    if isinstance(value, bytes):
        return bytes(value)
    text = str(value)
    data = text.encode(errors="surrogateescape")
    return text if data.decode(errors="replace") == text else data


def write(item: h5py.HLObject, key: str, value: object, name: str, shape: list[int] | None, where: str) -> None:
    """Write an attribute of this value, type and shape."""
    from h5py import h5a, h5s

    try:
        empty, name = name.startswith("empty:"), name.removeprefix("empty:")
        string = _STRING.fullmatch(name)
        if string is None and _NUMBER.fullmatch(name) is None:
            raise ValueError(f"type {name!r:.80} is not known")
        if empty:
            kind, space = _stored(name), h5s.create(h5s.NULL)
        else:
            lengths = tuple(shape or ())
            if any(type(n) is not int or n < 0 for n in lengths) or prod(lengths) > _LARGEST:
                raise ValueError(f"shape {shape!r:.80} is not allowed")
            array = _array(value, name, lengths)
            kind, space = _stored(name), h5s.create_simple(lengths) if shape is not None else h5s.create(h5s.SCALAR)
        attribute = h5a.create(item.id, key.encode(errors="surrogateescape"), kind, space)
        if not empty and 0 not in lengths:
            attribute.write(array, mtype=_memory(name, array))
    except (TypeError, ValueError, OSError, RuntimeError, OverflowError, KeyError, AttributeError) as error:
        raise DczError(f"{where}: cannot be an attribute of type {name!r:.80} ({error})") from None


def _stored(name: str) -> h5t.TypeID:
    from h5py import h5t

    string = _STRING.fullmatch(name)
    if string is None:
        return h5t.py_create(np.dtype(name), logical=True)
    kind = h5t.C_S1.copy()
    kind.set_cset(_SETS[string[1]])
    if string[2] is None:
        kind.set_size(h5t.VARIABLE)
    else:
        kind.set_size(max(1, int(string[2])))
        kind.set_strpad(_PADS[string[3]])
    return kind


def _memory(name: str, array: np.ndarray) -> h5t.TypeID:
    """Return the HDF5 type of `array` in memory; strings have the stored charset, as HDF5 does not convert charsets."""
    from h5py import h5t

    string = _STRING.fullmatch(name)
    if string is None or string[2] is None:
        return h5t.py_create(array.dtype)
    kind = _stored(name)
    kind.set_strpad(h5t.STR_NULLPAD)
    return kind


def _array(value: object, name: str, shape: tuple[int, ...]) -> np.ndarray:
    import h5py

    string = _STRING.fullmatch(name)
    if string is None:
        if isinstance(value, bytes):
            return np.frombuffer(value, name).reshape(shape).copy()
        return np.array(value, name).reshape(shape)
    flat: list[object] = []
    _flatten(value, flat, 0)
    if len(flat) != prod(shape):
        raise ValueError(f"{plural(len(flat), 'value does', 'values do')} not fill shape {shape}")
    data = [each.encode() if isinstance(each, str) else each for each in flat]
    if not all(isinstance(each, bytes) for each in data):
        raise ValueError("its values are not strings")
    if string[2] is not None:
        return np.array(data, f"S{max(1, int(string[2]))}").reshape(shape)
    out = np.empty(len(data), h5py.string_dtype(string[1]))
    out[:] = data
    return out.reshape(shape)


def _flatten(value: object, out: list[object], depth: int) -> None:
    if isinstance(value, (list, tuple)) and depth <= _MAX_RANK:
        for each in value:
            _flatten(each, out, depth + 1)
    else:
        out.append(value)
