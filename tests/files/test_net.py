"""The `.net` files of Deep Compression's first author: values as an independent decoder finds them, sizes as
promised."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.convert.prototxt import weighted_layers
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from support.bits import assert_same_bits
from support.net import PROTOTXT, SHAPES, decode, encode


@pytest.fixture
def net(tmp_path: Path) -> Path:
    (tmp_path / "tiny.net").write_bytes(encode(SHAPES)[0])
    (tmp_path / "tiny.prototxt").write_text(PROTOTXT)
    return tmp_path / "tiny.net"


def arrays(path: Path, shapes: Path) -> dict[str, np.ndarray]:
    with open_model(path, shapes=shapes) as model:
        assert {t.name: (t.dtype.code, t.shape) for t in model.tensors()} == {
            t.name: ("F32", model.read(t.name).shape) for t in model.tensors()
        }
        return {t.name: model.read(t.name) for t in model.tensors()}


def shapes_file(folder: Path, document: object) -> Path:
    path = folder / "shapes.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_values(net: Path) -> None:
    data, tensors = encode(SHAPES)
    found = arrays(net, net.with_suffix(".prototxt"))
    assert list(found) == list(tensors)
    for name, array in tensors.items():
        assert_same_bits(found[name], array)
        assert_same_bits(decode(data, SHAPES)[name], array)


@pytest.mark.parametrize("suffix", ["", ".weight"])
def test_shapes_from_json(net: Path, suffix: str) -> None:
    path = shapes_file(net.parent, {name + suffix: shape for name, shape in SHAPES.items()})
    found = arrays(net, path)
    for name, array in encode(SHAPES)[1].items():
        assert_same_bits(found[name], array)


@pytest.mark.parametrize("seed", range(5))
def test_files_with_fillers_and_empty_layers(tmp_path: Path, seed: int) -> None:
    shapes = {"a": (2, 3, 5, 5), "b": (1, 1, 1, 1), "c": (3, 700), "d": (2, 2)}
    data, tensors = encode(shapes, seed)
    (tmp_path / "w.net").write_bytes(data)
    found = arrays(tmp_path / "w.net", shapes_file(tmp_path, shapes))
    for name, array in tensors.items():
        assert_same_bits(found[name], array)


def test_a_layer_without_biases(tmp_path: Path) -> None:
    data, tensors = encode({"fc": (5, 20)})
    bias = tensors["fc.bias"].tobytes()
    (tmp_path / "w.net").write_bytes(data.replace(bias, b""))
    shapes = tmp_path / "w.prototxt"
    shapes.write_text(
        'layer { name: "in" type: "Input" top: "x" input_param { shape: { dim: 1 dim: 20 } } }'
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 5 bias_term: false } }"
    )
    found = arrays(tmp_path / "w.net", shapes)
    assert list(found) == ["fc.weight"]
    assert_same_bits(found["fc.weight"], tensors["fc.weight"])


def test_packing(net: Path, tmp_path: Path) -> None:
    target = tmp_path / "tiny.dcz"
    with open_model(net, shapes=net.with_suffix(".prototxt")) as model:
        moved = transfer(model, open_target(target))
    tensors = encode(SHAPES)[1]
    assert (moved.tensors, moved.aliases) == (6, 0)
    assert moved.nbytes == sum(array.nbytes for array in tensors.values())
    found = dcz.load_file(target)
    assert sorted(found) == sorted(tensors)
    for name, array in tensors.items():
        assert_same_bits(found[name], array)


def test_every_truncation(net: Path) -> None:
    data = net.read_bytes()
    for length in [*range(1, len(data), 17), len(data) - 1]:
        net.write_bytes(data[:length])
        with pytest.raises(TruncatedError, match="it is cut off, or does not belong to these shapes"):
            open_model(net, shapes=net.with_suffix(".prototxt"))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({**SHAPES, "more": (1, 1)}, "does not belong to these shapes"),
        ({"conv1": (4, 3, 3, 3), "conv2": (6, 2, 3, 1)}, "does not belong to these shapes"),
        ({**SHAPES, "fc": (5, 10)}, r"layer 'fc' has a weight at position [0-9]+, its shape \(5, 10\) has fewer"),
        ({**SHAPES, "fc": (6, 54)}, "does not belong to these shapes"),
        ({}, "left behind the last layer"),
        ({"a": (1 << 30, 1 << 30, 2, 2)}, "layer 'a': shape .* takes more than 281474976710656 bytes"),
        ({"conv1": (4, 3, 3, 3), "conv1.weight": (6, 2, 3, 1), "fc": (5, 54)}, "name layer 'conv1' twice"),
    ],
)
def test_shapes_of_another_network(net: Path, shapes: dict, message: str) -> None:
    with pytest.raises((FormatError, TruncatedError, LimitError), match=message):
        open_model(net, shapes=shapes_file(net.parent, shapes))


def test_a_codebook_whose_first_entry_is_not_zero(net: Path) -> None:
    data = bytearray(net.read_bytes())
    data[12:16] = np.float32(-0.0).tobytes()
    net.write_bytes(data)
    with pytest.raises(FormatError, match="the codebook's first entry is -0.0, not the zero of absent weights"):
        open_model(net, shapes=net.with_suffix(".prototxt"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [2, 2]', "not valid JSON"),
        ("{" * 100_000, "not valid JSON"),
        ('{"a": 4}', "'a': expected a shape such as"),
        ('{"a": []}', "expected a shape such as"),
        ('{"a": [0, 2]}', "expected a shape such as"),
        ('{"a": [-1, 2]}', "expected a shape such as"),
        ('{"a": [2.5]}', "expected a shape such as"),
        ('{"a": [true]}', "expected a shape such as"),
        ('{"a": [NaN]}', "expected a shape such as"),
        ('{"a": [2147483648]}', "expected a shape such as"),
        (" ", "no Convolution or InnerProduct layer; is this a Caffe deploy prototxt"),
        ("[1, 2]", "Caffe|no value"),
    ],
)
def test_shapes_that_are_none(net: Path, text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        open_model(net, shapes=shapes_file(net.parent, text))


def test_shapes_that_are_no_text(net: Path) -> None:
    path = net.with_suffix(".bin")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="not text; expected a Caffe deploy prototxt or JSON"):
        open_model(net, shapes=path)
    with open(path, "wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(FormatError, match="too large for a prototxt or a JSON of shapes"):
        open_model(net, shapes=path)


def test_missing_shapes(net: Path) -> None:
    with pytest.raises(DczError, match="net files have no shapes; pass --shapes"):
        open_model(net)
    with pytest.raises(FileNotFoundError):
        open_model(net, shapes=net.with_suffix(".json"))


@pytest.mark.skipif("DCZ_DATA" not in os.environ, reason="DCZ_DATA names no folder with the published SqueezeNet")
@pytest.mark.parametrize(("profile", "most"), [("auto", 542_000), ("paper", 560_000)])
def test_the_published_squeezenet(tmp_path: Path, profile: str, most: int) -> None:
    source = Path(os.environ["DCZ_DATA"]) / "compressed_SqueezeNet.net"
    shapes = Path(os.environ["DCZ_DATA"]) / "SqueezeNet_deploy.prototxt"
    target = tmp_path / "sq.dcz"
    with open_model(source, shapes=shapes) as model:
        transfer(model, open_target(target, profile=profile))
    assert target.stat().st_size <= most
    layers = weighted_layers(shapes.read_text(), str(shapes))
    expected = decode(source.read_bytes(), {layer.name: layer.shape for layer in layers})
    found = dcz.load_file(target)
    assert sorted(found) == sorted(expected) and len(found) == 52
    assert sum(array.nbytes for array in found.values()) == 4_993_696
    for name, array in expected.items():
        assert_same_bits(found[name], array)


def test_a_pipe_as_shapes(net: Path) -> None:
    os.mkfifo(net.parent / "pipe.prototxt")
    with pytest.raises(UnsupportedError, match="pipe.prototxt: is not a regular file but a pipe"):
        open_model(net, shapes=net.parent / "pipe.prototxt")
