"""ONNX models: their weights by name. The graph itself stays where it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import numpy as np

from dcz.convert.guard import Guard
from dcz.convert.model import Tensor
from dcz.errors import DczError, FormatError
from dcz.extras import require
from dcz.io.sinks import PathSink

_LARGEST_DOCUMENTS = 4 << 20  # as metadata


class OnnxModel:
    """The weights of an ONNX model as `dcz.onnx` finds them: initializers and constants, also of subgraphs and
    functions; sparse ones are read as dense tensors. `onnx.doc_string` in a tensor's metadata is its own."""

    aliases: Mapping[str, str] = {}

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._path = os.fspath(path)
        guard = guard or Guard(path, ".onnx")
        require("onnx", "onnx", path)
        from dcz.onnx.initializers import Weights
        from dcz.onnx.models import read_model, weights_of

        model = read_model(path)
        try:
            self._weights = Weights(model, self._path)
        except ValueError as error:  # invalid UTF-8 in names is found on access
            if isinstance(error, DczError):
                raise
            raise FormatError(f"{self._path}: not an ONNX model, or one that is cut off ({error})") from None
        named = weights_of(model)
        if named is not None and not all(weight.has_data() for weight in self._weights.values()):
            raise DczError(f"{self._path}: a graph whose weights are in {named!r:.80}; pass the path of that file")
        self.left_out = self._weights.left_out
        for file in self._weights.files(self._path):
            guard.beside(file)
        self.metadata: Mapping[str, object] = {}
        self.tensor_metadata: Mapping[str, Mapping[str, object]] = self._documents()

    def _documents(self) -> dict[str, dict[str, object]]:
        """Return the doc strings of tensors."""
        out: dict[str, dict[str, object]] = {}
        left = _LARGEST_DOCUMENTS
        for name, weight in self._weights.items():
            text = weight.document()
            left -= len(text) + len(name)
            if text and left < 0:
                self.left_out[f"doc string of {name}"] = f"more than {_LARGEST_DOCUMENTS} bytes of them in all"
            elif text:
                out[name] = {"onnx.doc_string": text}
        return out

    def tensors(self) -> list[Tensor]:
        return [Tensor(name, weight.dtype, weight.shape) for name, weight in self._weights.items()]

    def read(self, name: str) -> np.ndarray:
        weight = self._weights[name]
        try:
            return weight.read(self._path)
        except (ValueError, TypeError, IndexError, OverflowError, MemoryError) as error:
            if isinstance(error, DczError):
                raise
            raise FormatError(f"{weight.where}: its data do not fit its shape ({error})") from None

    def __enter__(self) -> OnnxModel:
        return self

    def __exit__(self, *error: object) -> None:
        self._weights.clear()


def thin_graph(source: str, path: str, weights: str) -> PathSink:
    """Return the file `path`, not yet published: the model of `source` without the weights, which are in `weights`."""
    require("onnx", "onnx", source)
    from dcz.onnx.initializers import Weights
    from dcz.onnx.models import graph_sink, read_model

    model = read_model(source)
    return graph_sink(model, Weights(model, source), source, path, weights)


def whole_model(
    source: str,
    path: str,
    *,
    threads: int | None = None,
    max_bytes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[int, int]:
    """Write the whole model of a graph and its weights; return the number of weights and their bytes."""
    require("onnx", "onnx", source)
    from dcz.onnx.initializers import Weights
    from dcz.onnx.models import abandoning, load_model, serialized

    model = load_model(source, threads=threads, max_bytes=max_bytes, progress=progress)
    weights = Weights(model)
    sink = PathSink(path)
    with abandoning(sink):
        sink.write(serialized(model, source))
        sink.publish()
    return len(weights), sum(weight.nbytes for weight in weights.values())
