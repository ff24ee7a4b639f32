"""Models of ONNX: `model.onnx` without its weights, and `model.dcz` with them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from dcz.adapters import Progress, save_tensors
from dcz.api import load_file
from dcz.container.reader import Reader
from dcz.errors import DczError, FormatError, LimitError
from dcz.io.sinks import PathSink
from dcz.onnx.external import inside
from dcz.onnx.initializers import Weights
from dcz.onnx.tensors import adapter

# Where a model says which file its weights are in.
_PROPERTY = "dcz.weights"
_LARGEST_MODEL = (1 << 31) - 1  # a protobuf message


def save_model(
    model: ModelProto | str | os.PathLike[str],
    file: str | os.PathLike[str],
    metadata: Mapping[str, object] | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    profile: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Writes a model in two files: `file` has the graph, in which initializers and constants have names, types and
    shapes but no data, and `weights`, beside it and by default called as it is with the extension .dcz, has the data.

    Args:
        model: a model, or the path of one; only the path tells where external data lies, which is taken in.
        file: the path of the .onnx file to write.

    Raises:
        DczError: weights of the same name, external data outside of the model's folder, damaged models.

    >>> import numpy, onnx, os, tempfile, dcz.onnx
    >>> graph = onnx.helper.make_graph(
    ...     [onnx.helper.make_node("Identity", ["w"], ["y"])],
    ...     "example",
    ...     [],
    ...     [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [64, 64])],
    ...     [onnx.numpy_helper.from_array(numpy.zeros((64, 64), "float32"), "w")],
    ... )
    >>> folder = tempfile.mkdtemp()
    >>> dcz.onnx.save_model(onnx.helper.make_model(graph), os.path.join(folder, "model.onnx"))
    >>> sorted(os.listdir(folder))
    ['model.dcz', 'model.onnx']
    >>> len(dcz.onnx.load_model(os.path.join(folder, "model.onnx")).graph.initializer[0].raw_data)
    16384
    """
    file = os.path.abspath(os.fspath(file))
    weights = os.path.splitext(file)[0] + ".dcz" if weights is None else os.path.abspath(os.fspath(weights))
    if os.path.dirname(weights) != os.path.dirname(file) or weights == file:
        raise DczError(f"weights: {weights} must be another file in the folder of {file}, so that the model finds it")
    folder = None
    if isinstance(model, ModelProto):
        thin = ModelProto()
        thin.CopyFrom(model)
    else:
        folder, thin = os.fspath(model), read_model(model)
    tensors = Weights(thin, folder or "")
    for weight in tensors.values():
        if not weight.has_data():
            raise DczError(f"{weight.where}: has no data; load the model with dcz.onnx.load_model first")
    # The data goes first: a graph without its weights is of no use, weights beside the old graph do no harm.
    save_tensors(
        adapter(folder), tensors, weights, metadata=metadata, profile=profile, threads=threads, progress=progress
    )
    sink = graph_sink(thin, tensors, folder, file, weights)
    with abandoning(sink):
        sink.publish()


def graph_sink(model: ModelProto, tensors: Weights, folder: str | None, file: str, weights: str) -> PathSink:
    """Takes the weights out of a model, whose data `weights` has, and writes it: all that is left is to publish it."""
    for weight in tensors.values():
        weight.clear(folder)
    _name_weights(model, weights)
    sink = PathSink(file)
    with abandoning(sink):
        sink.write(serialized(model, file))
    return sink


def serialized(model: ModelProto, file: str) -> bytes:
    """The model as bytes; `file` is where its graph comes from."""
    size = model.ByteSize()
    if size > _LARGEST_MODEL:
        raise LimitError(
            f"{file}: the graph takes {size} bytes with the weights that have to be in it; the limit is "
            f"{_LARGEST_MODEL}: dcz.onnx.session runs larger ones whose weights are in the main graph"
        )
    return model.SerializeToString(deterministic=True)


@contextlib.contextmanager
def abandoning(sink: PathSink) -> Iterator[None]:
    """Removes what was written where something fails."""
    try:
        yield
    except BaseException:
        sink.abandon()
        raise


def load_model(
    file: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> ModelProto:
    """The model that `save_model` was given: `onnxruntime.InferenceSession(model.SerializeToString())` runs it.

    Args:
        file: the path of the .onnx file, or of the .dcz file where the .onnx file beside it has the same name.
        weights: the path of the .dcz file; by default the one in the same folder that the model names.

    Raises:
        FileNotFoundError: one of the two files is missing.
        DczError: no weights named, or weights that are not this model's: names, types or shapes do not agree.
    """
    pair = open_pair(file, weights)
    arrays: dict[str, NDArray[Any]] = load_file(
        pair.weights, names=pair.names, threads=threads, max_bytes=max_bytes, progress=progress
    )
    for name in pair.names:
        pair.tensors[name].write(arrays.pop(name))
    return pair.model


@dataclass(frozen=True, slots=True)
class Pair:
    """A model in two files: its graph, the weights that the graph lacks by name, and the file that has them."""

    file: str
    model: ModelProto
    tensors: Weights
    weights: str
    names: list[str]


def open_pair(file: str | os.PathLike[str], weights: str | os.PathLike[str] | None) -> Pair:
    """Opens both files of a model, of which `file` is one, and checks that they belong together; see `load_model`."""
    if weights is None and os.fspath(file).lower().endswith(".dcz"):
        file, weights = os.path.splitext(os.fspath(file))[0] + ".onnx", file
        _check_there(file, f"the graph of {os.path.basename(os.fspath(weights))}; pass its path and weights=")
    file = os.fspath(file)
    model = read_model(file)
    named = weights_of(model)
    if weights is None:
        if named is None:
            raise DczError(f"{file}: does not say which file has its weights; pass weights=")
        weights = inside(os.path.dirname(os.path.abspath(file)), named, f"{file}: weights")
        _check_there(weights, f"the weights of {os.path.basename(file)}, without which it is no model")
    tensors = Weights(model, file)
    with Reader(weights) as reader:
        missing = [name for name, weight in tensors.items() if name not in reader and not weight.has_data()]
        strange = [name for name in reader if name not in tensors]
        strange += [
            name
            for name, weight in tensors.items()
            if name in reader and not weight.fits(reader.info(name).dtype, reader.info(name).shape)
        ]
        if missing or strange:
            listed = ", ".join(map(repr, [*missing, *strange][:8]))
            raise DczError(f"{os.fspath(weights)}: these are not the weights of {file}: they differ in {listed}")
        names = list(reader)
    _name_weights(model, None)
    return Pair(file, model, tensors, os.fspath(weights), names)


def _check_there(path: str | os.PathLike[str], what: str) -> None:
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, f"No such file: {what}", os.fspath(path))


def weights_of(model: ModelProto) -> str | None:
    """The name of the file that has a model's weights; None for a model that has them itself."""
    return next((entry.value for entry in model.metadata_props if entry.key == _PROPERTY), None)


def _name_weights(model: ModelProto, weights: str | None) -> None:
    kept = [entry for entry in model.metadata_props if entry.key != _PROPERTY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    if weights is not None:
        model.metadata_props.add(key=_PROPERTY, value=os.path.basename(weights))


def read_model(file: str | os.PathLike[str]) -> ModelProto:
    """The model as it is in its file, without external data."""
    try:
        model = onnx.load_model(os.fspath(file), load_external_data=False)
    except Exception as error:  # protobuf's, of which each implementation has its own
        if isinstance(error, OSError):
            raise
        raise FormatError(f"{os.fspath(file)}: not an ONNX model, or one that is cut off ({error!r:.120})") from None
    if not model.ir_version or not model.HasField("graph"):
        raise FormatError(f"{os.fspath(file)}: not an ONNX model (it has no graph)")
    return model
