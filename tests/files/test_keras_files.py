"""Keras models in and out: archives and HDF5 files, whole and by hand."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model
from dcz.errors import DczError, LimitError
from support.bits import assert_same_bits
from support.converting import convert
from support.hdf5 import archive, described, h5py


@pytest.fixture
def keras():
    pytest.importorskip(
        "keras", reason="Keras is not installed (pip install keras)"
    ) if "KERAS_BACKEND" in os.environ else None
    for backend in ("torch", "jax", "tensorflow"):
        if "KERAS_BACKEND" in os.environ or __import__("importlib.util").util.find_spec(backend):
            os.environ.setdefault("KERAS_BACKEND", backend)
            return pytest.importorskip("keras", reason="Keras is not installed (pip install keras)")
    pytest.skip("Keras has none of its backends here: torch, jax or tensorflow")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["model.keras", "model.weights.h5"])
@pytest.mark.parametrize("policy", ["float32", "bfloat16"])
def test_a_keras_model_runs_on_what_was_packed(tmp_path: Path, keras, kind: str, policy: str) -> None:
    def build(seed: int) -> object:
        keras.utils.set_random_seed(seed)
        return keras.Sequential([
            keras.layers.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, dtype=policy),
            keras.layers.BatchNormalization(dtype=policy),
            keras.layers.Flatten(), keras.layers.Dense(5, dtype=policy),
        ])  # fmt: skip

    model = build(1)
    source = tmp_path / kind
    model.save(source) if kind.endswith(".keras") else model.save_weights(source)
    packed = convert(source, tmp_path / "m.dcz")
    assert len(dcz.load_file(packed)) >= 8
    back = convert(packed, tmp_path / f"back.{kind.partition('.')[2]}")
    if kind.endswith(".keras"):
        other = keras.models.load_model(back)
    else:
        other = build(2)
        other.load_weights(back)
    x = np.random.Generator(np.random.PCG64(1)).random((3, 8, 8, 1), np.float32)
    assert bytes(np.asarray(model.predict(x, verbose=0)).tobytes()) == bytes(
        np.asarray(other.predict(x, verbose=0)).tobytes()
    )
    for one, two in zip(model.weights, other.weights, strict=True):
        assert keras.ops.convert_to_numpy(one.value).tobytes() == keras.ops.convert_to_numpy(two.value).tobytes()


LAYERS = {
    "dense": lambda k: [k.Input((6,)), k.Dense(3)],
    "flatten": lambda k: [k.Input((4, 3)), k.Flatten(), k.Dense(2)],
    "dropout": lambda k: [k.Input((6,)), k.Dropout(0.5), k.Dense(2)],
    "convolution": lambda k: [k.Input((8, 8, 2)), k.Conv2D(3, 3), k.MaxPooling2D(), k.Flatten()],
    "depthwise": lambda k: [k.Input((8, 8, 2)), k.DepthwiseConv2D(3), k.Activation("relu")],
    "separable": lambda k: [k.Input((8, 8, 2)), k.SeparableConv2D(4, 3)],
    "transposed": lambda k: [k.Input((4, 4, 2)), k.Conv2DTranspose(3, 3)],
    "batch norm": lambda k: [k.Input((6,)), k.BatchNormalization()],
    "layer norm": lambda k: [k.Input((6,)), k.LayerNormalization(), k.Dense(1)],
    "embedding": lambda k: [k.Input((5,)), k.Embedding(10, 4), k.GlobalAveragePooling1D()],
    "lstm": lambda k: [k.Input((5, 3)), k.LSTM(4)],
    "gru": lambda k: [k.Input((5, 3)), k.GRU(4, return_sequences=True)],
    "bidirectional": lambda k: [k.Input((5, 3)), k.Bidirectional(k.LSTM(4))],
    "time distributed": lambda k: [k.Input((5, 3)), k.TimeDistributed(k.Dense(2))],
    "reshape": lambda k: [k.Input((6,)), k.Reshape((2, 3)), k.Conv1D(2, 2)],
    "activations": lambda k: [k.Input((6,)), k.Dense(4), k.PReLU(), k.ReLU()],
    "padding": lambda k: [k.Input((4, 4, 1)), k.ZeroPadding2D(), k.Conv2D(1, 2), k.UpSampling2D()],
    "noise": lambda k: [k.Input((6,)), k.GaussianNoise(0.1), k.Dense(2), k.Softmax()],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LAYERS)
def test_legacy_files_of_keras_load_again(tmp_path: Path, keras, name: str) -> None:
    """Among its groups are those of layers without weights, which Keras looks for."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(LAYERS[name](keras.layers))
    model.save(tmp_path / "m.h5")
    back = convert(convert(tmp_path / "m.h5", tmp_path / "m.dcz"), tmp_path / "back.h5")
    with h5py.File(tmp_path / "m.h5") as one, h5py.File(back) as two:
        assert described(one) == described(two)
    other = keras.models.load_model(back)
    for one, two in zip(model.weights, other.weights, strict=True):
        assert keras.ops.convert_to_numpy(one.value).tobytes() == keras.ops.convert_to_numpy(two.value).tobytes()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_keras_archives_by_hand(tmp_path: Path, compression: int) -> None:
    members = {"metadata.json": b"{}", "config.json": b'{"a": 1}', "assets/words.bin": b"\xff\x00"}
    packed = convert(archive(tmp_path / "a.keras", members, compression), tmp_path / "a.dcz")
    assert_same_bits(dcz.load_file(packed)["layers/dense/vars/0"], np.arange(2000.0))
    with zipfile.ZipFile(convert(packed, tmp_path / "b.keras")) as file:
        assert {name: file.read(name) for name in members} == members and file.testzip() is None


def test_a_keras_archive_needs_its_configuration(tmp_path: Path) -> None:
    dcz.save_file({"w": np.zeros(3)}, tmp_path / "a.dcz")
    with pytest.raises(DczError, match="no configuration of a Keras model; only what was packed from a .keras file"):
        convert(tmp_path / "a.dcz", tmp_path / "b.keras")
    assert os.listdir(tmp_path) == ["a.dcz"]


@pytest.mark.parametrize(
    "members",
    [
        {"../../.bashrc": "x"},
        {"/etc/passwd": "x"},
        {"a": 5},
        {"a": {}},
        {"model.weights.h5": "x"},
        {"C:x": ""},
        {"x" * 70_000: ""},
    ],
)
def test_members_of_hostile_metadata(tmp_path: Path, members: dict) -> None:
    dcz.save_file({"w": np.zeros(3)}, tmp_path / "a.dcz", metadata={"keras": {"config.json": "{}", **members}})
    with pytest.raises(
        DczError, match=r"b\.keras: metadata: keras: .* (could escape the folder|cannot be a member|the limit is 4096)"
    ):
        convert(tmp_path / "a.dcz", tmp_path / "b.keras")
    assert os.listdir(tmp_path) == ["a.dcz"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_archives_that_would_fill_the_disk(tmp_path: Path, compression: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.keras", "w", compression) as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", bytes(1 << 25))
    monkeypatch.setattr("dcz.limits.FREE_EXPANSION_BYTES", 1 << 20)
    monkeypatch.setattr("dcz.limits.EXPANSION_RATIO", 10)
    with pytest.raises(LimitError, match="a.keras: model.weights.h5 would take 33554432 bytes"):
        open_model(tmp_path / "a.keras")
