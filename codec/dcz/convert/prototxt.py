"""Layer shapes from a Caffe deploy prototxt: its text format, and the sizes that flow through the layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from dcz.convert.protobuf_text import Message, parse
from dcz.errors import FormatError, LimitError
from dcz.text import plural

_MAX_SIZE = 1 << 40  # numbers of a blob, or weights of a layer


# Layers whose output has the size of their input.
_SAME = frozenset(
    (
        "relu", "prelu", "elu", "sigmoid", "tanh", "power", "exp", "log", "absval", "bnll", "dropout", "lrn", "softmax",
        "batchnorm", "scale", "bias", "eltwise", "split", "threshold", "input", "data",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WeightedLayer:
    """A layer with weights: the weights' shape, and whether it has biases, one per output."""

    name: str
    shape: tuple[int, ...]
    bias: bool


def weighted_layers(text: str, path: str) -> list[WeightedLayer]:
    """Return the Convolution and InnerProduct layers in the order of the file."""
    return _Network(parse(text, path), path).layers


class _Network:
    """Sizes (channels, height, width) of all blobs, layer by layer."""

    def __init__(self, net: Message, path: str) -> None:
        self.path = path
        self.blobs: dict[str, tuple[int, ...]] = {}
        self.layers: list[WeightedLayer] = []
        self._inputs(net)
        for layer in net.get("layer", []) or net.get("layers", []):
            if isinstance(layer, dict) and self._in_deploy(layer):
                self._add(layer)
        if not self.layers:
            raise FormatError(f"{path}: no Convolution or InnerProduct layer; is this a Caffe deploy prototxt?")

    @staticmethod
    def _in_deploy(layer: Message) -> bool:
        phases = [rule.get("phase", [""])[0] for rule in layer.get("include", []) if isinstance(rule, dict)]
        return not phases or "TEST" in phases

    def _inputs(self, net: Message) -> None:
        dims = self._integers(net, "input_dim", "input")
        shapes = [dims[i : i + 4] for i in range(0, len(dims), 4)]
        shapes += [self._integers(s, "dim", "input") for s in net.get("input_shape", []) if isinstance(s, dict)]
        for name, shape in zip(self._texts(net, "input"), shapes):
            self._blob(name, tuple(shape[1:]), "input")

    def _blob(self, blob: str, size: tuple[int, ...], name: str) -> None:
        if not size or min(size) < 1:
            raise FormatError(f"{self.path}: layer {name!r} gives {blob!r} the size {size}, expected positive numbers")
        if prod(size) > _MAX_SIZE:
            raise LimitError(f"{self.path}: layer {name!r}: {blob!r} has more than {_MAX_SIZE} numbers")
        self.blobs[blob] = size

    def _add(self, layer: Message) -> None:
        name = self._one(layer, "name", "")
        kind = self._one(layer, "type", "").lower().replace("_", "")
        bottoms, tops = self._texts(layer, "bottom"), self._texts(layer, "top")
        if kind == "input":
            shape = self._integers(self._sub(self._sub(layer, "input_param"), "shape"), "dim", name)
            size: tuple[int, ...] = tuple(shape[1:])
        else:
            missing = [b for b in bottoms if b not in self.blobs]
            if missing:
                raise FormatError(f"{self.path}: layer {name!r} reads {missing[0]!r}, whose size is not known")
            size = self._output(name, kind, layer, [self.blobs[b] for b in bottoms])
        for top in tops:
            self._blob(top, size, name)

    def _output(self, name: str, kind: str, layer: Message, inputs: list[tuple[int, ...]]) -> tuple[int, ...]:
        if not inputs:
            raise FormatError(f"{self.path}: layer {name!r} has no input")
        first = inputs[0]
        if kind == "convolution":
            return self._convolution(name, layer, first)
        if kind == "innerproduct":
            param = self._sub(layer, "inner_product_param")
            outputs = self._number(param, "num_output", name)
            self._weights(name, (outputs, prod(first)), param)
            return (outputs,)
        if kind == "pooling" and len(first) == 3:
            param = self._sub(layer, "pooling_param")
            if self._flag(param, "global_pooling", False):
                return (first[0], 1, 1)
            return (first[0], *self._window(param, first[1:], name, round_up=True))
        if kind == "concat":
            return (sum(size[0] for size in inputs), *first[1:])
        if kind in ("flatten", "reshape"):
            return (prod(first),)
        if kind in _SAME:
            return first
        raise FormatError(
            f"{self.path}: layer {name!r} is of type {kind!r}, whose output size is not known here; "
            'give the shapes as JSON instead: {"LAYER": [shape], ...}'
        )

    def _weights(self, name: str, shape: tuple[int, ...], param: Message) -> None:
        if prod(shape) > _MAX_SIZE:
            raise LimitError(f"{self.path}: layer {name!r} has more than {_MAX_SIZE} weights")
        self.layers.append(WeightedLayer(name, shape, self._flag(param, "bias_term", True)))

    def _convolution(self, name: str, layer: Message, size: tuple[int, ...]) -> tuple[int, ...]:
        if len(size) != 3:
            raise FormatError(f"{self.path}: layer {name!r} convolves an input of size {size}, expected 3 numbers")
        param = self._sub(layer, "convolution_param")
        outputs = self._number(param, "num_output", name)
        group = self._number(param, "group", name) if "group" in param else 1
        height, width = self._pair(param, "kernel", name)
        if group < 1 or size[0] % group or outputs % group:
            raise FormatError(
                f"{self.path}: layer {name!r}: {plural(group, 'group does', 'groups do')} not divide its channels"
            )
        shape = (outputs, size[0] // group, height, width)
        self._weights(name, shape, param)
        return (outputs, *self._window(param, size[1:], name, round_up=False))

    def _window(self, param: Message, size: tuple[int, ...], name: str, *, round_up: bool) -> tuple[int, ...]:
        out = []
        for n, kernel, stride, pad, dilation in zip(
            size,
            self._pair(param, "kernel", name),
            self._pair(param, "stride", name, 1),
            self._pair(param, "pad", name, 0),
            self._pair(param, "dilation", name, 1),
        ):
            span = n + 2 * pad - (dilation * (kernel - 1) + 1)
            if stride < 1 or kernel < 1 or span < 0:
                raise FormatError(f"{self.path}: layer {name!r}: a window of {kernel} does not fit an input of {n}")
            out.append((-(-span // stride) if round_up else span // stride) + 1)
        return tuple(out)

    def _pair(self, param: Message, what: str, name: str, default: int | None = None) -> tuple[int, int]:
        """`kernel_size: 3`, twice, or as `kernel_h` and `kernel_w`; likewise stride and pad."""
        if f"{what}_h" in param:
            return self._number(param, f"{what}_h", name), self._number(param, f"{what}_w", name)
        field = "kernel_size" if what == "kernel" else what
        values = param.get(field, [] if default is None else [str(default)])
        if not 1 <= len(values) <= 2:
            raise FormatError(f"{self.path}: layer {name!r} has no {field}")
        numbers = [self._integer(value, field, name) for value in values]
        return numbers[0], numbers[-1]

    def _number(self, param: Message, field: str, name: str) -> int:
        if field not in param:
            raise FormatError(f"{self.path}: layer {name!r} has no {field}")
        return self._integer(param[field][0], field, name)

    def _integer(self, value: object, field: str, name: str) -> int:
        if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > 9:
            raise FormatError(f"{self.path}: layer {name!r}: {field}: expected a small number, found {value!r:.40}")
        return int(value)

    def _integers(self, message: Message, field: str, name: str) -> list[int]:
        return [self._integer(value, field, name) for value in message.get(field, [])]

    def _texts(self, message: Message, field: str) -> list[str]:
        values = message.get(field, [])
        if not all(isinstance(value, str) for value in values):
            raise FormatError(f"{self.path}: {field}: expected a name, found a message in braces")
        return values

    @staticmethod
    def _one(message: Message, field: str, default: str) -> str:
        value = next(iter(message.get(field, [])), default)
        return value if isinstance(value, str) else default

    @staticmethod
    def _sub(message: Message, field: str) -> Message:
        value = message.get(field, [{}])[0]
        return value if isinstance(value, dict) else {}

    @staticmethod
    def _flag(param: Message, field: str, default: bool) -> bool:
        return param.get(field, ["true" if default else "false"])[0] == "true"
