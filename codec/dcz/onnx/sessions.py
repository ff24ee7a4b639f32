"""Sessions of ONNX Runtime over a model in two files: the weights go from the dcz file into the runtime's memory; no
whole model is in between."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto

from dcz.adapters import Progress
from dcz.api import load_file
from dcz.extras import require
from dcz.onnx.models import Pair, open_pair, serialized
from dcz.onnx.weights import Weight

# Smaller tensors, such as the shape that a Reshape takes, are part of the graph: the runtime infers shapes from them.
_SMALLEST = 1024
# Elements that numpy lacks go to the runtime as words of their size.
_AS_WORDS = {"BFLOAT16": np.uint16, "FLOAT8E4M3FN": np.uint8, "FLOAT8E5M2": np.uint8}
_AS_THEY_ARE = (
    *("FLOAT", "DOUBLE", "FLOAT16", "BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"),
)


def session(
    file: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    options: Any = None,
    providers: Sequence[Any] | None = None,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
    **arguments: Any,
) -> Any:
    """An `onnxruntime.InferenceSession` over a model that `save_model` or `dcz pack` wrote: its outputs are those of a
    session over the whole model, bit for bit.

    Weights of the main graph, initializers and constants of at least 1 KiB, are given to the runtime as external
    initializers that it shares: it computes with the decoded arrays. Other weights (of subgraphs and functions, sparse
    ones, and of elements narrower than a byte) become part of the graph. For matrices that the runtime rearranges it
    holds the arrays and its own copies; with `session.disable_prepacking` set to "1" in `options`, the arrays alone.

    Args:
        file: the path of the .onnx file, or of the .dcz file where the .onnx file beside it has the same name.
        weights: the path of the .dcz file; by default the one in the same folder that the model names.
        options: `onnxruntime.SessionOptions`, for this session alone: the weights are added to them.
        providers: as for `onnxruntime.InferenceSession`, which also takes `arguments`.

    Raises:
        MissingLibraryError: onnxruntime is not installed.
        FileNotFoundError: one of the two files is missing.
        DczError: weights that are not this model's: names, types or shapes do not agree.
        LimitError: the weights that have to be in the graph make it larger than 2 GiB.

    >>> import numpy, onnx, os, tempfile, dcz.onnx
    >>> graph = onnx.helper.make_graph(
    ...     [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
    ...     "example",
    ...     [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 64])],
    ...     [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 64])],
    ...     [onnx.numpy_helper.from_array(numpy.eye(64, dtype="float32"), "w")],
    ... )
    >>> model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    >>> file = os.path.join(tempfile.mkdtemp(), "model.onnx")
    >>> dcz.onnx.save_model(model, file)
    >>> float(dcz.onnx.session(file).run(None, {"x": numpy.ones((1, 64), "float32")})[0].sum())
    64.0
    """
    runtime = require("onnxruntime", "onnxruntime", "dcz.onnx.session")
    pair = open_pair(file, weights)
    arrays: dict[str, NDArray[Any]] = load_file(
        pair.weights, names=pair.names, threads=threads, max_bytes=max_bytes, progress=progress
    )
    shared = _fill(pair, arrays)
    graph = serialized(pair.model, pair.file)
    options = runtime.SessionOptions() if options is None else options
    values = [_value(runtime, array, kind) for array, kind in shared.values()]
    # Shared, so that no second copy stays, and external, so that the optimizer finds the values it folds.
    for name, value in zip(shared, values):
        options.add_initializer(name, value)
    options.add_external_initializers(list(shared), values)
    out = runtime.InferenceSession(graph, options, providers, **arguments)
    # The runtime reads the arrays' memory and does not count references to it.
    weakref.finalize(out, values.clear).atexit = False
    return out


def _fill(pair: Pair, arrays: dict[str, NDArray[Any]]) -> dict[str, tuple[NDArray[Any], str]]:
    """Puts weights into the graph, or where the runtime can share them, a reference in their place. Returns the shared
    ones with their element types."""
    graph = pair.model.graph
    constants = _constants(graph)
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    used = set(_taken(graph))
    outputs = {value.name for value in graph.output}
    shared: dict[str, tuple[NDArray[Any], str]] = {}
    gone: list[NodeProto] = []
    for name, weight in pair.tensors.items():
        outside = any(tensor.data_location == TensorProto.EXTERNAL for tensor in weight.tensors())
        array = arrays.pop(name) if name in arrays else weight.read(pair.file) if outside else None
        if array is None:
            continue  # it is in the graph
        if not _can_share(weight):
            weight.write(array)
        elif initializers.get(name) is weight.tensors()[0]:
            if name in used:
                _refer(weight.tensors()[0])
                shared[name] = array, weight.kind
            else:
                graph.initializer.remove(weight.tensors()[0])  # the runtime knows no unused ones
        elif name in constants and constants[name].attribute[0].t is weight.tensors()[0] and name not in outputs:
            gone.append(constants[name])
            if name in used:
                _refer(graph.initializer.add(name=name, data_type=weight.tensors()[0].data_type, dims=weight.shape))
                shared[name] = array, weight.kind
        else:
            weight.write(array)
    for node in gone:
        graph.node.remove(node)
    return shared


def _can_share(weight: Weight) -> bool:
    known = weight.kind in _AS_THEY_ARE or weight.kind in _AS_WORDS
    return known and weight.nbytes >= _SMALLEST and len(weight.tensors()) == 1


def _constants(graph: GraphProto) -> dict[str, NodeProto]:
    """The nodes of the main graph that do nothing but give a tensor."""
    return {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "Constant"
        and node.domain in ("", "ai.onnx")
        and len(node.output) == 1
        and [attribute.name for attribute in node.attribute] == ["value"]
    }


def _taken(graph: GraphProto) -> Iterator[str]:
    """Names that nodes and outputs take, in this graph and those inside it."""
    for value in graph.output:
        yield value.name
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _taken(inner)


def _refer(tensor: TensorProto) -> None:
    """Marks a tensor as one whose elements the session gets from elsewhere."""
    del tensor.external_data[:]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="dcz")


def _value(runtime: Any, array: NDArray[Any], kind: str) -> Any:
    """The array as the runtime's value, which has the same memory."""
    words = _AS_WORDS.get(kind)
    if words is None:
        return runtime.OrtValue.ortvalue_from_numpy(array)
    number = TensorProto.DataType.Value(kind)
    return runtime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(words), number)
