"""TensorFlow Lite models: the values their interpreter reads, and files that point beyond themselves."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.errors import DczError, FormatError, LimitError
from support.arrays import make_array
from support.bits import assert_same_bits
from support.tflite import Entry, build

pytest.importorskip("tflite", reason="tflite is not installed (pip install 'dcz[tflite]')")

KINDS = {
    "FLOAT32": "F32", "FLOAT16": "F16", "INT32": "I32", "UINT8": "U8", "INT64": "I64", "INT16": "I16", "INT8": "I8",
    "COMPLEX64": "C64", "FLOAT64": "F64", "UINT64": "U64", "UINT32": "U32", "UINT16": "U16", "BFLOAT16": "BF16",
}  # fmt: skip


def pack(path: Path, data: bytes) -> tuple[dict[str, np.ndarray], dict[str, object], object]:
    path.write_bytes(data)
    with open_model(path) as model:
        moved = transfer(model, open_target(path.with_suffix(".dcz")))
    with dcz.open(path.with_suffix(".dcz")) as reader:
        return {name: reader.get_tensor(name) for name in reader}, dict(reader.metadata), moved


def test_every_type(tmp_path: Path) -> None:
    arrays = {kind: make_array(2, code, (6, 5), 0.6, 40, "float") for kind, code in KINDS.items()}
    arrays["BOOL"] = np.array([[True, False], [False, True]])
    entries = [Entry(kind, kind, array.shape, at) for at, (kind, array) in enumerate(arrays.items(), 1)]
    found, metadata, _ = pack(tmp_path / "m.tflite", build([entries], [b"", *(a.tobytes() for a in arrays.values())]))
    assert sorted(found) == sorted(arrays) and not metadata
    for name, array in arrays.items():
        assert_same_bits(found[name], array)


def test_names_ties_and_what_has_no_values(tmp_path: Path) -> None:
    data = np.arange(6, dtype="<f4").tobytes()
    first = [
        Entry("w", "FLOAT32", (2, 3), 1), Entry("input", "FLOAT32", (1, 8), 0), Entry("tied", "FLOAT32", (2, 3), 1),
        Entry("turned", "FLOAT32", (3, 2), 1), Entry("w", "INT8", (2,), 2), Entry("", "INT8", (1, 2), 2),
        Entry("text", "STRING", (1,), 2),
    ]  # fmt: skip
    found, _, moved = pack(
        tmp_path / "m.tflite", build([first, [Entry("w", "INT8", (2,), 3)]], [b"", data, b"ab", b"cd"])
    )
    assert sorted(found) == ["subgraph_1.w", "tensor_5", "tied", "turned", "w", "w#4"]
    assert (moved.tensors, moved.aliases) == (5, 1)
    assert moved.left_out == {"text": "elements of type STRING cannot be stored"}
    assert found["turned"].shape == (3, 2) and bytes(found["subgraph_1.w"]) == b"cd"


def test_quantization_and_four_bits(tmp_path: Path) -> None:
    entries = [
        Entry("w", "INT8", (2, 2), 1, [0.5, 0.25], [0, -3]), Entry("n", "INT4", (3,), 2),
    ]  # fmt: skip
    found, _, _ = pack(tmp_path / "m.tflite", build([entries], [b"", b"abcd", b"\x7f\x08"]))
    with dcz.open(next(tmp_path.glob("*.dcz"))) as reader:
        about = {name: dict(reader.info(name).metadata) for name in reader}
    assert about == {
        "w": {"tflite.quantization": {"scale": [0.5, 0.25], "zero_point": [0, -3], "dimension": 0}}, "n": {},
    }  # fmt: skip
    assert found["n"].astype(int).tolist() == [-1, 7, -8]


def test_one_buffer_that_means_two_things(tmp_path: Path) -> None:
    """Two tensors of the same bytes are no second names of each other where their scales differ."""
    entries = [
        Entry("a", "INT8", (4,), 1, [0.5], [0]), Entry("b", "INT8", (4,), 1, [0.25], [0]),
        Entry("c", "INT8", (4,), 1, [0.5], [0]),
    ]  # fmt: skip
    pack(tmp_path / "m.tflite", build([entries], [b"", b"abcd"]))
    with dcz.open(next(tmp_path.glob("*.dcz"))) as reader:
        assert dict(reader.aliases) == {"c": "a"}
        assert [reader.info(n).metadata["tflite.quantization"]["scale"] for n in "abc"] == [[0.5], [0.25], [0.5]]


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_the_converter(tmp_path: Path) -> None:
    """What the interpreter has for each tensor that does not depend on the input."""
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed (pip install 'dcz[tensorflow]')")

    class Module(tf.Module):
        def __init__(self) -> None:
            self.w = tf.Variable(np.random.Generator(np.random.PCG64(1)).standard_normal((64, 40), np.float32))

        @tf.function(input_signature=[tf.TensorSpec((1, 64), tf.float32)])
        def __call__(self, x):
            return tf.nn.relu(tf.matmul(x, self.w) + 1.5)

    module = Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.__call__.get_concrete_function()], module)
    data = converter.convert()
    found, _, _ = pack(tmp_path / "m.tflite", data)
    assert any(array.size == 64 * 40 for array in found.values())
    interpreter = tf.lite.Interpreter(model_content=data)
    interpreter.allocate_tensors()
    names = {each["name"]: each["index"] for each in interpreter.get_tensor_details()}
    for name, array in found.items():
        assert_same_bits(array, interpreter.get_tensor(names[name]))


GOOD = build([[Entry("w", "FLOAT32", (2, 3), 1)]], [b"", np.arange(6, dtype="<f4").tobytes()])
ERRORS = {
    "nothing of it": (b"this is no model", FormatError, "not a TensorFlow Lite model"),
    "another size": (
        build([[Entry("w", "FLOAT32", (3, 3), 1)]], [b"", bytes(24)]),
        FormatError,
        "expected 36 bytes for FLOAT32 .* found 24",
    ),
    "a length below zero": (build([[Entry("w", "INT8", (-1,), 1)]], [b"", b"a"]), FormatError, "shape .-1."),
    "many dimensions": (build([[Entry("w", "INT8", [1] * 65, 1)]], [b"", b"a"]), LimitError, "65 dimensions"),
    "huge": (build([[Entry("w", "INT8", [1 << 30] * 3, 1)]], [b"", b"a"]), LimitError, "shape"),
    "no such buffer": (build([[Entry("w", "INT8", [1], 9)]], [b"", b"a"]), FormatError, "buffer 9: the model has 2"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error(tmp_path: Path, name: str) -> None:
    data, error, message = ERRORS[name]
    (tmp_path / "m.tflite").write_bytes(data)
    with pytest.raises(error, match=f"m.tflite: .*{message}"):
        open_model(tmp_path / "m.tflite")


def test_cut_and_garbled_models(tmp_path: Path) -> None:
    chance = random.Random(1)
    damaged = 0
    for turn in range(len(GOOD) + 1500):
        changed = bytearray(GOOD[:turn] if turn < len(GOOD) else GOOD)
        for _ in range(0 if turn < len(GOOD) else chance.randrange(1, 4)):
            changed[chance.randrange(len(changed))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        (tmp_path / "m.tflite").write_bytes(changed)
        try:
            with open_model(tmp_path / "m.tflite") as model:
                for tensor in model.tensors():
                    model.read(tensor.name)
        except DczError as error:
            assert str(error).startswith(str(tmp_path))
            damaged += 1
    assert damaged > len(GOOD)
