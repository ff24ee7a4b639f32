"""Core ML programs: palettized and sparse weights are read as dense tensors, exactly.

The weights are constants with values in the weight file, small float constants in the program, and the outputs of
`constexpr_lut_to_dense`, `constexpr_sparse_to_dense` and of both together (`constexpr_lut_to_sparse`), in the forms
of iOS 16 and of iOS 18. Of other `constexpr` operations, which compute with rounding, the stored parameters are
read, as `OPERATION/PARAMETER`: nothing is lost, and nothing is made up.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from dcz.convert.coreml_program import Message, program_file, protos, read_program
from dcz.convert.coreml_tables import bits_of, look_up, scatter
from dcz.convert.guard import Guard, check_file
from dcz.convert.model import Tensor
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from dcz.io.sources import FileSource, read
from dcz.tensor import from_words
from dcz.tensor.shapes import check_shape
from dcz.text import plural

_CODES = {
    "BOOL": "BOOL", "FLOAT8E4M3FN": "F8_E4M3", "FLOAT8E5M2": "F8_E5M2", "FLOAT16": "F16", "FLOAT32": "F32",
    "FLOAT64": "F64", "BFLOAT16": "BF16", "INT8": "I8", "INT16": "I16", "INT32": "I32", "INT64": "I64", "INT4": "I8",
    "UINT8": "U8", "UINT16": "U16", "UINT32": "U32", "UINT64": "U64", "UINT4": "U8", "UINT2": "U8", "UINT1": "U8",
    "UINT6": "U8", "UINT3": "U8",
}  # fmt: skip
_PACKED = {"INT4": 4, "UINT6": 6, "UINT4": 4, "UINT3": 3, "UINT2": 2, "UINT1": 1}
_FLOATS = ("FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16")
_DENSE = ("constexpr_lut_to_dense", "constexpr_sparse_to_dense")
_SPARSE = "constexpr_lut_to_sparse"
_SENTINEL = 0xDEADBEEF
_BLOB = 64
_MODEL_PATH = "@model_path/"
_MAX_DEPTH = 16


class CoremlModel:
    """The weights of a `.mlpackage` folder, or of an `.mlmodel` file with its weights beside it.

    Metadata of a tensor: `coreml.type`, where its elements take less than a byte in the file, and `coreml.operation`,
    which made it dense."""

    aliases: Mapping[str, str] = {}

    def __init__(self, path: str | os.PathLike[str], guard: Guard | None = None) -> None:
        self._path = os.fspath(path)
        self._guard = guard or Guard(path, ".mlmodel")
        self._proto, self._types = protos(path)
        self._file = program_file(self._path)
        self._folder = os.path.dirname(os.path.abspath(self._file))
        self._sources: dict[str, FileSource] = {}
        self._outputs: dict[str, Message] = {}  # the operation that makes each value
        self._entries: dict[str, tuple[str, Message]] = {}
        self._tensors: dict[str, Tensor] = {}
        self.left_out: dict[str, str] = {}
        about: dict[str, dict[str, object]] = {}
        try:
            for name, entry, kind in self._weights(read_program(self._proto, self._file, self._path)):
                if name in self._tensors:
                    raise FormatError(f"{self._path}: weight {name!r:.80}: duplicate name")
                try:
                    self._entries[name], self._tensors[name] = entry, self._describe(name, kind)
                except UnsupportedError as error:
                    self.left_out[name] = str(error).removeprefix(f"{self._path}: weight {name!r:.80}: ")
                    continue
                if self._kind(kind) in _PACKED:
                    about.setdefault(name, {})["coreml.type"] = self._kind(kind)
                if entry[0] == "dense":
                    about.setdefault(name, {})["coreml.operation"] = entry[1].type
        except BaseException:
            self.__exit__()
            raise
        self.metadata: Mapping[str, object] = {}
        self.tensor_metadata: Mapping[str, Mapping[str, object]] = about

    def _weights(self, program: Message) -> Iterator[tuple[str, tuple[str, Message], Message]]:
        """Yield names, sources and types of the weights."""
        for name in sorted(program.functions):
            for special in sorted(program.functions[name].block_specializations):
                block = program.functions[name].block_specializations[special]
                yield from self._block(block, "" if name == "main" else f"{name}/", 0)

    def _block(self, block: Message, prefix: str, depth: int) -> Iterator[tuple[str, tuple[str, Message], Message]]:
        if depth > _MAX_DEPTH:
            raise LimitError(
                f"{self._path}: blocks are nested deeper than {_MAX_DEPTH} levels; convert the model again"
            )
        users: dict[str, list[Message]] = {}  # of each value of this block
        for op in block.operations:
            for argument in (argument for each in op.inputs.values() for argument in each.arguments):
                users.setdefault(argument.name, []).append(op)
        for op in block.operations:
            for output in op.outputs:
                self._outputs[output.name] = op
            if not op.outputs and op.type.startswith(("const", "constexpr_")):
                raise FormatError(f"{self._path}: an operation {op.type!r:.80} has no output, and so no name")
            if op.type == "const":
                value = op.attributes.get("val", None)
                if value is not None and self._is_weight(value):
                    yield prefix + op.outputs[0].name, ("value", value), value.type
            elif op.type in _DENSE and self._computable(op):
                yield prefix + op.outputs[0].name, ("dense", op), op.outputs[0].type
            elif op.type.startswith("constexpr_") and not (op.type == _SPARSE and self._used_by_dense(users, op)):
                for key, value in self._parameters(op).items():
                    if value.WhichOneof("value") == "blobFileValue" or self._is_weight(value):
                        yield f"{prefix}{op.outputs[0].name}/{key}", ("value", value), value.type
            for inner in op.blocks:
                yield from self._block(inner, prefix, depth + 1)

    def _is_weight(self, value: Message) -> bool:
        if value.WhichOneof("value") == "blobFileValue":
            return True
        return value.type.tensorType.rank > 0 and self._kind(value.type) in _FLOATS

    def _parameters(self, op: Message) -> dict[str, Message]:
        """Return the values that an operation holds: in inputs since iOS 18, in attributes before."""
        found = {key: a.arguments[0].value for key, a in op.inputs.items() if a.arguments and not a.arguments[0].name}
        return {key: value for key, value in op.attributes.items() if key != "name"} | found

    def _source_of(self, op: Message, key: str) -> Message | None:
        """Return the operation that an input comes from."""
        arguments = op.inputs[key].arguments if key in op.inputs else []
        return self._outputs.get(arguments[0].name) if arguments and arguments[0].name else None

    def _computable(self, op: Message) -> bool:
        sources = [self._source_of(op, key) for key in op.inputs]
        return all(source is None or source.type in ("const", _SPARSE) for source in sources)

    def _used_by_dense(self, users: Mapping[str, list[Message]], op: Message) -> bool:
        found = [user for output in op.outputs for user in users.get(output.name, [])]
        return bool(found) and all(user.type == _DENSE[1] and self._computable(user) for user in found)

    def _kind(self, kind: Message) -> str:
        number = kind.tensorType.dataType
        try:
            return self._types.DataType.Name(number)
        except ValueError:  # of a later version
            return str(number)

    def _shape(self, kind: Message, where: str) -> tuple[int, ...]:
        sizes = [d.constant.size for d in kind.tensorType.dimensions if d.WhichOneof("dimension") == "constant"]
        if len(sizes) != kind.tensorType.rank:
            raise FormatError(f"{where}: its shape is not known")
        return check_shape(sizes, where, 8)

    def _describe(self, name: str, kind: Message) -> Tensor:
        where = f"{self._path}: weight {name!r:.80}"
        if self._kind(kind) not in _CODES:
            raise UnsupportedError(f"{where}: elements of type {self._kind(kind)} cannot be stored")
        return Tensor(name, DTYPES[_CODES[self._kind(kind)]], self._shape(kind, where))

    def tensors(self) -> list[Tensor]:
        return list(self._tensors.values())

    def read(self, name: str) -> np.ndarray:
        tensor, (what, entry) = self._tensors[name], self._entries[name]
        where = f"{self._path}: weight {name!r:.80}"
        try:
            array = self._value(entry, where) if what == "value" else self._dense(entry, where)
            array = np.ascontiguousarray(array).reshape(tensor.shape)
        except (ValueError, IndexError, KeyError, TypeError) as error:
            if isinstance(error, DczError):
                raise
            raise FormatError(f"{where}: its parameters do not fit each other ({error})") from None
        if array.dtype != tensor.dtype.numpy():
            raise FormatError(f"{where}: expected {tensor.dtype.code}, its parameters make {array.dtype}")
        return array

    # -- operations

    def _input(self, op: Message, key: str, where: str) -> np.ndarray:
        source = self._source_of(op, key)
        if source is None:
            return self._value(self._parameters(op)[key], where)
        if source.type == "const":
            return self._value(source.attributes["val"], where)
        mask, values = self._lut_to_sparse(source, where)
        return mask if op.inputs[key].arguments[0].name == source.outputs[0].name else values

    def _dense(self, op: Message, where: str) -> np.ndarray:
        first = self._input(op, "lut" if op.type == _DENSE[0] else "nonzero_data", where)
        second = self._input(op, "indices" if op.type == _DENSE[0] else "mask", where)
        parameters = self._parameters(op)
        if op.type == _DENSE[1]:
            shape = tuple(self._input(op, "shape", where).tolist()) if "shape" in parameters else second.shape
            return scatter(first, second if "shape" not in parameters else bits_of(second, 1, prod(shape)), shape)
        if "shape" not in parameters:
            return look_up(second, first, self._axis(op, where))
        shape = tuple(self._input(op, "shape", where).tolist())  # iOS 16: one table, indices packed
        bits = (len(first) - 1).bit_length()
        return first[bits_of(second, bits, prod(shape))].reshape(shape)

    def _lut_to_sparse(self, op: Message, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the mask of a tensor and its kept weights."""
        mask = self._input(op, "indices_mask", where)
        lut, axis = self._input(op, "lut", where), self._axis(op, where)
        index = scatter(self._input(op, "indices_nonzero_data", where), mask, mask.shape)
        wide = mask if lut.shape[-1] == 1 else np.repeat(mask, lut.shape[-1], axis=axis)
        return wide, look_up(index, lut, axis)[wide.astype(bool)]

    def _axis(self, op: Message, where: str) -> int | None:
        if "vector_axis" not in op.inputs and "vector_axis" not in op.attributes:
            return None
        return int(self._input(op, "vector_axis", where).reshape(-1)[0])

    # -- values

    def _value(self, value: Message, where: str) -> np.ndarray:
        kind, shape = self._kind(value.type), self._shape(value.type, where)
        if kind not in _CODES:
            raise UnsupportedError(f"{where}: elements of type {kind} cannot be stored")
        dtype, count, bits = DTYPES[_CODES[kind]], prod(shape), _PACKED.get(kind)
        size = -(-count * bits // 8) if bits else count * dtype.itemsize
        if value.WhichOneof("value") != "blobFileValue":
            return self._immediate(value.immediateValue.tensor, kind).reshape(shape)
        data = self._blob(value.blobFileValue, size, where)
        if not bits:
            return from_words(data, dtype, shape)
        each = bits_of(data, bits, count)
        if kind == "INT4":
            each = ((each ^ 8).astype(np.int16) - 8).astype(np.int8)
        return each.reshape(shape)

    def _immediate(self, tensor: Message, kind: str) -> np.ndarray:
        held = tensor.WhichOneof("value")
        dtype = DTYPES[_CODES[kind]].numpy()
        if held == "bytes":
            return np.frombuffer(tensor.bytes.values, dtype)
        if held is None:
            return np.empty(0, dtype)
        return np.array(getattr(tensor, held).values).astype(dtype)

    def _blob(self, value: Message, size: int, where: str) -> np.ndarray:
        source = self._weight_file(value.fileName, where)
        if value.offset + _BLOB > source.size:
            raise TruncatedError(f"{where}: {source.name} ends before byte {value.offset + _BLOB}; finish the download")
        head = read(source, value.offset, _BLOB)
        sentinel, stored = int(head[:4].view("<u4")[0]), int(head[8:16].view("<u8")[0])
        if sentinel != _SENTINEL or stored != size:
            raise FormatError(f"{where}: {source.name} has no {plural(size, 'byte')} of it at {value.offset}")
        start = int(head[16:24].view("<u8")[0])
        if start + size > source.size:
            short = start + size - source.size
            raise TruncatedError(
                f"{where}: {source.name} is {plural(short, 'byte')} short ({source.size} in all); finish the download"
            )
        return read(source, start, size)

    def _weight_file(self, name: str, where: str) -> FileSource:
        """Return a file, which must be in the model's folder, links followed."""
        inside = name.removeprefix(_MODEL_PATH)
        path = os.path.join(self._folder, inside)
        home = os.path.join(os.path.realpath(self._folder), "")
        if not name.startswith(_MODEL_PATH) or "\0" in name or not os.path.realpath(path).startswith(home):
            raise FormatError(
                f"{where}: its values are in {name!r:.80}, outside the model's folder; put the file into it"
            )
        if name not in self._sources:
            check_file(path)
            self._sources[name] = FileSource(path)
        return self._sources[name]

    def __enter__(self) -> CoremlModel:
        return self

    def __exit__(self, *error: object) -> None:
        for source in self._sources.values():
            source.close()
