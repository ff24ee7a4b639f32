"""Keras 3 on each of its backends: a model packed, loaded into another and run, with equal outputs."""

from __future__ import annotations

import pytest

from support.frameworks import framework, integration, run_program

framework("keras")
integration("keras")

BACKENDS = ("jax", "tensorflow", "torch")

MODEL = """
import os, tempfile, warnings
import numpy as np
import keras
import dcz, dcz.keras

rng = np.random.default_rng(3)
x = rng.standard_normal((4, 10, 10, 3)).astype("float32")

class Twice(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(7)
    def build(self, shape):
        self.inner.build(shape)
        self.scale = self.add_weight(shape=(7,), initializer="random_normal")
    def call(self, y):
        return self.inner(self.inner(y)) * self.scale

def make(width=7):
    image = keras.Input((10, 10, 3))
    y = keras.layers.Conv2D(6, 3, activation="relu")(image)
    y = keras.layers.BatchNormalization()(y)
    y = keras.layers.Dropout(0.3)(keras.layers.Flatten()(y))
    shared = keras.layers.Dense(width)
    y = shared(shared(keras.layers.Dense(width)(y)))
    y = keras.Sequential([keras.layers.Dense(7), keras.layers.LayerNormalization()])(y)
    model = keras.Model(image, Twice()(y))
    model.compile("adam", "mse")
    return model

model = make()
model.fit(x, rng.standard_normal((4, 7)).astype("float32"), verbose=0)
folder = tempfile.mkdtemp()
path = os.path.join(folder, "model.dcz")
"""

ROUND_TRIP = """
dcz.keras.save_weights(model, path, {"epoch": 1})
other = make()  # whose layers have other names by now
assert other.layers[1].name != model.layers[1].name
assert (other.predict(x, verbose=0) != model.predict(x, verbose=0)).any()
assert dcz.keras.load_weights(other, path) == ([], [])
assert other.predict(x, verbose=0).tobytes() == model.predict(x, verbose=0).tobytes()
for a, b in zip(model.weights, other.weights):
    assert keras.ops.convert_to_numpy(a).tobytes() == keras.ops.convert_to_numpy(b).tobytes()
assert dcz.open(path).metadata == {"epoch": 1}
print(keras.backend.backend(), len(dcz.open(path)))
"""

NAMES = """
import h5py
dcz.keras.save_weights(model, path)
h5 = os.path.join(folder, "model.weights.h5")
model.save_weights(h5)
found = {}
h5py.File(h5).visititems(lambda name, node: found.update({name: node[()]}) if isinstance(node, h5py.Dataset) else None)
packed = dcz.load_file(path)
assert {name for name in found if not name.startswith("optimizer/")} == set(packed)
assert all(found[name].tobytes() == array.tobytes() for name, array in packed.items())
dcz.save_file(found, path)  # the optimizer's with them, as a converted .weights.h5 has
other = make()
assert dcz.keras.load_weights(other, path) == ([], [])
assert other.predict(x, verbose=0).tobytes() == model.predict(x, verbose=0).tobytes()
print("same names")
"""

MISMATCHES = """
dcz.keras.save_weights(model, path)
before = [keras.ops.convert_to_numpy(w).tobytes() for w in model.weights]

def refused(target, tensors, *words, **options):
    try:
        dcz.keras.load_weights(target, dcz.save(tensors), **options)
    except dcz.DczError as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError(words)
    assert [keras.ops.convert_to_numpy(w).tobytes() for w in model.weights] == before

tensors = dcz.load_file(path)
refused(model, {k: v for k, v in tensors.items() if k != "layers/conv2d/vars/0"}, "missing", "'layers/conv2d/vars/0'")
refused(model, {**tensors, "more": x}, "unexpected", "'more'")
wrong = {**tensors, "layers/conv2d/vars/1": x}
refused(model, wrong, "'layers/conv2d/vars/1' is float32 (4, 10, 10, 3)", "(6,)", strict=False)
refused(model, {**tensors, "layers/conv2d/vars/1": np.zeros(6, "float16")}, "float16", strict=False)
refused(keras.Sequential([keras.layers.Dense(3)]), tensors, "build")
refused(keras.layers.Dense(3), tensors, "expected a keras.Model")
part = {k: v for k, v in tensors.items() if k.startswith("layers/conv2d/")}
other = make()
result = dcz.keras.load_weights(other, dcz.save(part), strict=False)
assert result.unexpected_keys == [] and len(result.missing_keys) == len(tensors) - 2
assert keras.ops.convert_to_numpy(other.layers[1].kernel).tobytes() == tensors["layers/conv2d/vars/0"].tobytes()
print("refused")
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_is_packed_unpacked_and_run(backend: str) -> None:
    framework(backend)
    assert run_program(MODEL + ROUND_TRIP, KERAS_BACKEND=backend) == f"{backend} 17\n"


def test_names_are_those_of_kerass_own_files() -> None:
    assert run_program(MODEL + NAMES, KERAS_BACKEND="jax") == "same names\n"


def test_mismatches_change_nothing() -> None:
    assert run_program(MODEL + MISMATCHES, KERAS_BACKEND="jax") == "refused\n"
