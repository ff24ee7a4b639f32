"""TensorFlow Lite models made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple


class Entry(NamedTuple):
    """A tensor: its type's name, and which buffer has its values."""

    name: str
    kind: str
    shape: Sequence[int]
    buffer: int
    scale: Sequence[float] = ()
    zero_point: Sequence[int] = ()


def build(subgraphs: Sequence[Sequence[Entry]], buffers: Sequence[bytes]) -> bytes:
    """A model with these tensors; buffer 0 should be empty."""
    import flatbuffers
    import tflite

    Buffer, Model, QuantizationParameters, SubGraph, Tensor = (
        import_module(f"tflite.{name}") for name in ("Buffer", "Model", "QuantizationParameters", "SubGraph", "Tensor")
    )
    builder = flatbuffers.Builder(1024)

    def vector(start, offsets: Sequence[int]) -> int:
        start(builder, len(offsets))
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def numbers(start, prepend, values: Sequence) -> int:
        start(builder, len(values))
        for value in reversed(values):
            prepend(value)
        return builder.EndVector()

    def tensor(entry: Entry) -> int:
        name = builder.CreateString(entry.name)
        shape = numbers(Tensor.StartShapeVector, builder.PrependInt32, entry.shape)
        quantization = None
        if entry.scale:
            scale = numbers(QuantizationParameters.StartScaleVector, builder.PrependFloat32, entry.scale)
            zero = numbers(QuantizationParameters.StartZeroPointVector, builder.PrependInt64, entry.zero_point)
            QuantizationParameters.Start(builder)
            QuantizationParameters.AddScale(builder, scale)
            QuantizationParameters.AddZeroPoint(builder, zero)
            quantization = QuantizationParameters.End(builder)
        Tensor.Start(builder)
        Tensor.AddName(builder, name)
        Tensor.AddShape(builder, shape)
        Tensor.AddType(builder, getattr(tflite.TensorType, entry.kind))
        Tensor.AddBuffer(builder, entry.buffer)
        if quantization is not None:
            Tensor.AddQuantization(builder, quantization)
        return Tensor.End(builder)

    def buffer(data: bytes) -> int:
        values = builder.CreateByteVector(data) if data else None
        Buffer.Start(builder)
        if values is not None:
            Buffer.AddData(builder, values)
        return Buffer.End(builder)

    def subgraph(entries: Sequence[Entry]) -> int:
        tensors = vector(SubGraph.StartTensorsVector, [tensor(entry) for entry in entries])
        SubGraph.Start(builder)
        SubGraph.AddTensors(builder, tensors)
        return SubGraph.End(builder)

    graphs = vector(Model.StartSubgraphsVector, [subgraph(entries) for entries in subgraphs])
    data = vector(Model.StartBuffersVector, [buffer(each) for each in buffers])
    Model.Start(builder)
    Model.AddVersion(builder, 3)
    Model.AddSubgraphs(builder, graphs)
    Model.AddBuffers(builder, data)
    builder.Finish(Model.End(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
