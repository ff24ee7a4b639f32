"""Small valid files of every format, changed at random: the right arrays, or one error that names the file.

`DCZ_MUTATIONS` is how many of each kind are tried; more than a few hundred take minutes.
"""

from __future__ import annotations

import io
import os
import random
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dcz.convert import open_model
from dcz.errors import DczError
from support.tflite import Entry
from support.tflite import build as build_tflite

COUNT = int(os.environ.get("DCZ_MUTATIONS", "120"))
ARRAY = np.arange(30, dtype="<f4").reshape(5, 6)


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, ARRAY)
    return file.getvalue()


def npz(compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("a.npy", npy())
        archive.writestr("b/c.npy", npy())
    return file.getvalue()


def checkpoint(zipped: bool) -> bytes:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install 'dcz[torch]')")
    file = io.BytesIO()
    weight = torch.arange(30.0)
    value = {
        "model": {"w": weight, "v": weight[:4], "h": torch.ones(3, dtype=torch.bfloat16)},
        "n": 5,
        "lr": [0.1, None],
    }
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def hdf5(latest: bool) -> bytes:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed (pip install 'dcz[hdf5]')")
    file = io.BytesIO()
    with h5py.File(file, "w", libver="latest" if latest else "earliest") as root:
        root["group/w"] = ARRAY
        root.create_dataset("packed", data=ARRAY, chunks=(2, 3), compression="gzip")
        root["tied"] = root["packed"]
        root.create_group("empty").attrs["names"] = np.array([b"dense", b"x"])
        root.attrs.update({"text": "ü", "n": np.int32(5), "none": h5py.Empty("f4")})
    return file.getvalue()


def keras_archive(compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("config.json", '{"a": [1, 2]}')
        archive.writestr("model.weights.h5", hdf5(False))
    return file.getvalue()


def onnx_model() -> bytes:
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed (pip install 'dcz[onnx]')")
    from onnx import helper, numpy_helper

    weight = numpy_helper.from_array(ARRAY, "w")
    places = np.flatnonzero(ARRAY)
    values = numpy_helper.from_array(ARRAY.reshape(-1)[places], "s")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(places, "i"), ARRAY.shape)
    listed = helper.make_tensor("l", onnx.TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0])], "i", [], [], [listed])
    nodes = [
        helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(ARRAY[:2], "")),
        helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner),
    ]
    outside = onnx.TensorProto(name="e", data_type=onnx.TensorProto.FLOAT, dims=[4], data_location=1)
    for key, value in {"location": "data", "offset": "8", "length": "16"}.items():
        outside.external_data.add(key=key, value=value)
    graph = helper.make_graph(nodes, "g", [], [], [weight, outside], sparse_initializer=[sparse])
    return helper.make_model(graph).SerializeToString()


def tflite_model() -> bytes:
    pytest.importorskip("tflite", reason="tflite is not installed (pip install 'dcz[tflite]')")
    entries = [
        Entry("w", "FLOAT32", ARRAY.shape, 1),
        Entry("q", "INT8", (4,), 2, [0.5], [3]),
        Entry("x", "INT8", (4,), 0),
    ]
    return build_tflite([entries, entries[:1]], [b"", ARRAY.tobytes(), b"abcd"])


KINDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "npy": (".npy", npy),
    "npz": (".npz", lambda: npz(zipfile.ZIP_STORED)),
    "npz, deflate": (".npz", lambda: npz(zipfile.ZIP_DEFLATED)),
    "npz, bzip2": (".npz", lambda: npz(zipfile.ZIP_BZIP2)),
    "torch": (".pt", lambda: checkpoint(True)),
    "torch before 1.6": (".pt", lambda: checkpoint(False)),
    "HDF5": (".h5", lambda: hdf5(False)),
    "HDF5, latest": (".h5", lambda: hdf5(True)),
    "Keras": (".keras", lambda: keras_archive(zipfile.ZIP_STORED)),
    "Keras, deflate": (".keras", lambda: keras_archive(zipfile.ZIP_DEFLATED)),
    "ONNX": (".onnx", onnx_model),
    "TensorFlow Lite": (".tflite", tflite_model),
}


def changed(data: bytes, chance: random.Random) -> bytes:
    """Bytes replaced, a piece cut out, doubled or moved, or the end cut off."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(out))
        size = chance.choice((1, 2, 4, 8, 40))
        kind = chance.randrange(10)
        if kind < 4:
            out[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind < 6:
            out[at : at + size] = chance.choice((b"\xff", b"\0", b"\x7f")) * min(size, len(out) - at)
        elif kind < 7:
            out[at] ^= 1 << chance.randrange(8)
        elif kind < 8:
            del out[at : at + size]
        elif kind < 9:
            out[at:at] = out[at : at + size]
        else:
            del out[max(1, at) :]
    return bytes(out)


@pytest.mark.parametrize("kind", KINDS)
def test_changed_files(tmp_path: Path, kind: str) -> None:
    extension, make = KINDS[kind]
    data, path = make(), tmp_path / f"model{extension}"
    (tmp_path / "data").write_bytes(bytes(30))
    damaged = 0
    for turn in range(COUNT):
        path.write_bytes(changed(data, random.Random(f"{kind} {turn}")))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of numpy's and zipfile's own about what they read
                with open_model(path) as model:
                    for tensor in model.tensors():
                        array = model.read(tensor.name)
                        assert (array.shape, array.dtype.itemsize) == (tensor.shape, tensor.dtype.itemsize)
        except DczError as error:
            assert str(error).startswith(str(tmp_path)), f"turn {turn}: {error}"
            damaged += 1
        except OSError:
            damaged += 1
    assert damaged > COUNT // 10
