"""Files for peers that only turn bytes or integers into bytes: what is needed to rebuild the tensors, in msgpack,
or the bytes of a safetensors file, viewed without a copy."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import ml_dtypes
import msgpack
import numpy as np

from benchmarks.suite.clusters import Clustered
from benchmarks.suite.harness.storage import bits
from benchmarks.suite.inputs import Model

_DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
Blobs = list[bytes]


def write(path: Path, records: list) -> None:
    path.write_bytes(msgpack.packb(records, use_bin_type=True))


def read(path: Path) -> list:
    return msgpack.unpackb(path.read_bytes(), raw=False, strict_map_key=False)


def safetensors_bytes(model: Model) -> bytes:
    """The model as a safetensors file: what general compressors are given."""
    from safetensors.numpy import save

    return save(model.tensors)


def safetensors_views(data: bytes | memoryview) -> dict[str, np.ndarray]:
    """Tensors over the bytes of a safetensors file, none copied."""
    view = memoryview(data)
    (size,) = struct.unpack("<Q", view[:8])
    out = {}
    for name, entry in json.loads(bytes(view[8 : 8 + size])).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            part = view[8 + size + first : 8 + size + last]
            out[name] = np.frombuffer(part, _DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return out


def write_arrays(path: Path, model: Model, encode: Callable[[np.ndarray], bytes]) -> None:
    """A file of tensors that are encoded one by one, as unsigned integers of their width."""
    write(
        path,
        [[name, array.dtype.name, list(array.shape), encode(bits(array))] for name, array in model.tensors.items()],
    )


def read_arrays(path: Path, decode: Callable[[bytes, np.dtype, int], np.ndarray]) -> dict[str, np.ndarray]:
    """Its tensors; `decode` is told the integers' dtype and how many there are."""
    out = {}
    for name, dtype, shape, blob in read(path):
        kind = _kind(dtype)
        words = decode(blob, np.dtype(f"u{kind.itemsize}"), int(np.prod(shape)))
        out[name] = words.view(kind).reshape(shape)
    return out


def write_clustered(path: Path, model: Model, encode: Callable[[Clustered], Blobs]) -> None:
    """A file of clustered tensors: codebooks as they are, cluster indices encoded; other tensors as they are."""
    records = []
    for name, array in model.tensors.items():
        head = [name, array.dtype.name, list(array.shape)]
        if name in model.clustered:
            clustered = model.clustered[name]
            records.append([*head, clustered.codebook.tobytes(), *encode(clustered)])
        else:
            records.append([*head, array.tobytes()])
    write(path, records)


def read_clustered(path: Path, decode: Callable[[Blobs, np.ndarray, int], np.ndarray]) -> dict[str, np.ndarray]:
    """Its tensors; `decode` is given what was encoded, the codebook and the number of weights."""
    out = {}
    for (name, dtype, shape, first, *blobs), size in _sized(read(path)):
        words = np.frombuffer(first, _kind(dtype))
        out[name] = (decode(blobs, words, size) if blobs else words).reshape(shape)
    return out


def _sized(records: list) -> Iterator[tuple[list, int]]:
    for record in records:
        yield record, int(np.prod(record[2]))


def _kind(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
