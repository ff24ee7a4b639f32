"""A model that onnxruntime runs, with weights that change and inner values that can be watched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto

from dcz.errors import DczError
from dcz.extras import require
from dcz.onnx.initializers import Weights
from dcz.onnx.models import load_model, read_model

# Of onnxruntime: nothing but what ends it.
_FATAL = 4


class Session:
    """A copy of a model, given itself or by its path. The first run starts onnxruntime."""

    def __init__(self, model: ModelProto | str | os.PathLike[str]) -> None:
        self._runtime = require("onnxruntime", "onnxruntime", "running a model")
        if isinstance(model, ModelProto):
            self.model = ModelProto()
            self.model.CopyFrom(model)
            folder = ""
        else:
            self.model, folder = _whole(model), os.fspath(model)
        self.weights = Weights(self.model, folder)
        for weight in self.weights.values():
            if not weight.has_data():
                raise DczError(f"{weight.where}: has no data; load the model with dcz.onnx.load_model first")
        self._watched: list[str] = []
        self._session: Any = None

    def watch(self, names: Iterable[str]) -> None:
        """Makes values inside the graph outputs of it."""
        own = {value.name for value in (*self.model.graph.input, *self.model.graph.output)}
        self._watched = [name for name in names if name not in own]
        self.model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in self._watched)
        self._session = None

    def write(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Gives weights other values."""
        for name, array in tensors.items():
            self.weights[name].write(np.asarray(array, order="C"))
        self._session = None

    @property
    def session(self) -> Any:
        """onnxruntime's own session."""
        if self._session is None:
            options = self._runtime.SessionOptions()
            options.log_severity_level = _FATAL
            data = self.model.SerializeToString()
            try:
                self._session = self._runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            except Exception as error:  # onnxruntime's own, of many kinds
                raise DczError(f"model: onnxruntime cannot open it ({str(error)[:300]})") from None
        return self._session

    def open(self) -> None:
        """Let onnxruntime open the model now, and not with the first sample."""
        _ = self.session

    def run(self, feed: Mapping[str, np.ndarray], where: str) -> dict[str, NDArray[Any]]:
        """Outputs, values that are watched, and inputs by name. Errors begin with `where`."""
        self._check(feed, where)
        names = [output.name for output in self.session.get_outputs()]
        try:
            found = self.session.run(names, dict(feed))
        except Exception as error:
            raise DczError(f"{where}: onnxruntime cannot run it ({str(error)[:300]})") from None
        return {**feed, **dict(zip(names, found))}

    def outputs(self, feed: Mapping[str, np.ndarray], where: str) -> list[NDArray[Any]]:
        """The model's own outputs that are arrays of numbers."""
        values = self.run(feed, where)
        watched = set(self._watched)
        return [
            values[output.name]
            for output in self.session.get_outputs()
            if output.name not in watched and isinstance(values[output.name], np.ndarray)
        ]

    def _check(self, feed: Mapping[str, np.ndarray], where: str) -> None:
        """Names, dtypes and shapes of a sample."""
        expected = {value.name: value for value in self.session.get_inputs()}
        for name in feed:
            if name not in expected:
                raise DczError(f"{where}: the model has no input {name!r}; its inputs are {', '.join(expected)}")
        for name, value in expected.items():
            if name not in feed:
                raise DczError(f"{where}: input {name!r} is missing; the model has {', '.join(expected)}")
            array, dtype = np.asarray(feed[name]), _DTYPES.get(value.type)
            if dtype is not None and array.dtype != dtype:
                raise DczError(f"{where}: input {name!r} is {array.dtype}, the model expects {dtype}")
            shape = [size if isinstance(size, int) else None for size in value.shape or ()]
            fits = len(shape) == array.ndim and all(a is None or a == b for a, b in zip(shape, array.shape))
            if not fits and value.shape is not None:
                raise DczError(f"{where}: input {name!r} has shape {array.shape}, the model expects {_shown(shape)}")
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DczError(f"{where}: input {name!r} has NaN or infinity")


def _shown(shape: Sequence[int | None]) -> str:
    """A shape with sizes that may be any.

    >>> _shown([None, 64]), _shown([None]), _shown([])
    ('(any, 64)', '(any,)', '()')
    """
    sizes = ["any" if size is None else str(size) for size in shape]
    return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def _whole(path: str | os.PathLike[str]) -> ModelProto:
    """The model with external data and a dcz file's weights in it."""
    model = read_model(path)
    if any(entry.key == "dcz.weights" for entry in model.metadata_props):
        return load_model(path)
    weights = Weights(model, os.fspath(path))
    for weight in weights.values():
        weight.write(weight.read(os.fspath(path)))
    return model


_DTYPES = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(bool)": np.dtype(np.bool_),
}
