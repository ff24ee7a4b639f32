"""Models of ONNX: `model.onnx` without its weights, and `model.dcz` with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from dcz.adapters import Progress, save_tensors
from dcz.api import load_file
from dcz.container.reader import Reader
from dcz.errors import DczError, FormatError
from dcz.io.sinks import PathSink
from dcz.onnx.external import inside
from dcz.onnx.initializers import Weights
from dcz.onnx.tensors import adapter

# Where a model says which file its weights are in.
_PROPERTY = "dcz.weights"


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
    for weight in tensors.values():
        weight.clear(folder)
    kept = [entry for entry in thin.metadata_props if entry.key != _PROPERTY]
    del thin.metadata_props[:]
    thin.metadata_props.extend(kept)
    thin.metadata_props.add(key=_PROPERTY, value=os.path.basename(weights))
    sink = PathSink(file)
    try:
        sink.write(thin.SerializeToString(deterministic=True))
        sink.publish()
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
        file: the path of the .onnx file.
        weights: the path of the .dcz file; by default the one in the same folder that the model names.

    Raises:
        DczError: no weights named, or weights that are not this model's: names, types or shapes do not agree.
    """
    model = read_model(file)
    if weights is None:
        named = [entry.value for entry in model.metadata_props if entry.key == _PROPERTY]
        if not named:
            raise DczError(f"{os.fspath(file)}: does not say which file has its weights; pass weights=")
        weights = inside(os.path.dirname(os.path.abspath(os.fspath(file))), named[0], f"{os.fspath(file)}: weights")
    tensors = Weights(model, os.fspath(file))
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
            raise DczError(
                f"{os.fspath(weights)}: these are not the weights of {os.fspath(file)}: they differ in {listed}"
            )
        names = list(reader)
    arrays: dict[str, NDArray[Any]] = load_file(
        weights, names=names, threads=threads, max_bytes=max_bytes, progress=progress
    )
    for name in names:
        tensors[name].write(arrays.pop(name))
    kept = [entry for entry in model.metadata_props if entry.key != _PROPERTY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    return model


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
