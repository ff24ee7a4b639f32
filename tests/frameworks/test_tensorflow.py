"""TensorFlow: modules by path, what is not dense, and mismatches."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dcz
from dcz.errors import DczError, UnsupportedError
from support.frameworks import framework, integration

tf = framework("tensorflow")
dcz_tensorflow = integration("tensorflow")


class Net(tf.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        random = tf.random.Generator.from_seed(seed)
        self.layers = [{"w": tf.Variable(random.normal((6, 5)))}, {"w": tf.Variable(random.normal((5, 3)))}]
        self.bias = tf.Variable(tf.cast(random.normal((3,)), tf.bfloat16))
        self.tied = self.layers[0]["w"]

    def __call__(self, x: object) -> object:
        for layer in self.layers:
            x = x @ layer["w"]
        return x + tf.cast(self.bias, tf.float32)


def saved(model: object) -> bytes:
    file = io.BytesIO()
    dcz_tensorflow.save_model(model, file)
    return file.getvalue()


def test_forward_passes_are_equal() -> None:
    model, other = Net(1), Net(2)
    data = saved(model)
    assert sorted(dcz.open(data)) == ["bias", "layers.0.w", "layers.1.w", "tied"]
    assert dict(dcz.open(data).aliases) == {"tied": "layers.0.w"}
    assert dcz_tensorflow.load_model(other, data) == ([], [])
    x = tf.ones((2, 6))
    assert model(x).numpy().tobytes() == other(x).numpy().tobytes()


def test_mismatches_change_nothing() -> None:
    model = Net(1)
    before = model.bias.numpy().tobytes()
    tensors = dcz.load(saved(Net(2)))
    for change, words in (
        ({"more": np.ones(2)}, "unexpected in the file: 'more'"),
        ({"layers.1.w": np.ones((3, 5), "f4")}, r"'layers.1.w' is float32 \(3, 5\)"),
        ({"layers.1.w": np.ones((5, 3))}, "'layers.1.w' is float64"),
    ):
        with pytest.raises(DczError, match=words):
            dcz_tensorflow.load_model(model, dcz.save({**tensors, **change}))
    assert model.bias.numpy().tobytes() == before
    result = dcz_tensorflow.load_model(
        model, dcz.save({"bias": tensors["bias"], "more": tensors["bias"]}), strict=False
    )
    assert sorted(result.missing_keys) == ["layers.0.w", "layers.1.w", "tied"] and result.unexpected_keys == ["more"]
    assert model.bias.numpy().tobytes() == tensors["bias"].tobytes()
    with pytest.raises(DczError, match="expected a tf.Module"):
        saved(np.ones(2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: tf.constant(["text"]),
        lambda: tf.ragged.constant([[1], [2, 3]]),
        lambda: tf.sparse.from_dense(tf.eye(3)),
    ],
)
def test_what_is_not_dense_is_refused(make: object) -> None:
    with pytest.raises(UnsupportedError, match="tensor 'odd'"):
        dcz_tensorflow.save({"odd": make()})


def test_symbolic_tensors_are_refused() -> None:
    with tf.Graph().as_default():
        symbolic = tf.constant([1.0])
    with pytest.raises(UnsupportedError, match="symbolic"):
        dcz_tensorflow.save({"odd": symbolic})


def test_device() -> None:
    assert dcz_tensorflow.load(dcz.save({"w": np.ones(3)}), "CPU:0")["w"].device.endswith("CPU:0")


@pytest.mark.parametrize("shape", [None, [None, 3]])
def test_a_variable_of_unknown_shape(shape: list | None) -> None:
    def module(rows: int) -> tf.Module:
        out = tf.Module()
        out.w = tf.Variable(tf.ones((rows, 3)) * rows, shape=tf.TensorShape(shape))
        return out

    file = io.BytesIO()
    dcz_tensorflow.save_model(module(2), file)
    assert dcz_tensorflow.load(dcz_tensorflow.save({"w": module(2).w}))["w"].shape == (2, 3)
    other = module(5)
    dcz_tensorflow.load_model(other, file.getvalue())
    assert other.w.numpy().tolist() == [[2] * 3] * 2
    if shape:
        with pytest.raises(DczError, match="the model has float32"):
            dcz_tensorflow.load_model(other, dcz.save({"w": np.ones((2, 4), "f4")}))
