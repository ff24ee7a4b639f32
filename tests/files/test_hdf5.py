"""HDF5 and Keras files in and out; what points out of a file is not followed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.dtypes import DTYPES
from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from support.arrays import make_array
from support.bits import assert_same_bits

h5py = pytest.importorskip("h5py", reason="h5py is not installed (pip install 'dcz[hdf5]')")

CODES = ("BOOL", "U8", "I8", "I16", "U16", "F16", "I32", "U32", "F32", "C64", "F64", "I64", "U64", "BF16")


def convert(source: Path, target: Path) -> Path:
    with open_model(source) as model:
        transfer(model, open_target(target))
    return target


def test_every_dtype_both_ways(tmp_path: Path) -> None:
    arrays = {}
    for code in CODES:
        for shape in [(), (0, 4), (5,), (3, 4, 2)]:
            array = make_array(3, code, shape, 0.7, 200, "hostile")
            if code == "BOOL":
                array = (array.view(np.uint8).reshape(shape) & 1).astype(bool)
            arrays[f"layers/{code}/{len(shape)}"] = array
    dcz.save_file(arrays, tmp_path / "a.dcz")
    written = convert(tmp_path / "a.dcz", tmp_path / "a.weights.h5")
    with h5py.File(written) as file:
        for name, array in arrays.items():
            if "BF16" in name:
                assert file[name].attrs["dtype"] == "bfloat16" and file[name].dtype.itemsize == 2
            else:
                assert_same_bits(np.asarray(file[name][()]), array)
    found = dcz.load_file(convert(written, tmp_path / "b.dcz"))
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        assert_same_bits(found[name], array)


def test_compressed_and_big_endian_datasets(tmp_path: Path) -> None:
    array = make_array(1, "F32", (200, 30), 0.2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("gzip", data=array, compression="gzip", chunks=(50, 30))
        file["big"] = array.astype(">f4")
    found = dcz.load_file(convert(tmp_path / "a.h5", tmp_path / "a.dcz"))
    assert_same_bits(found["gzip"], array)
    assert_same_bits(found["big"], array)


def test_attributes_and_second_names_survive(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"dense", b"conv"])
        file.attrs["version"] = 3
        weight = file.create_dataset("dense/kernel", data=np.arange(6.0))
        weight.attrs["text"] = "ü"
        file["dense/tied"] = weight
        file.create_group("empty")
    with open_model(tmp_path / "a.h5") as model:
        assert dict(model.aliases) == {"dense/tied": "dense/kernel"}
        assert model.metadata["hdf5"] == {"/": {"layer_names": [b"dense", b"conv"], "version": 3}}
    with dcz.open(convert(tmp_path / "a.h5", tmp_path / "a.dcz")) as reader:
        about = dict(reader.info("dense/kernel").metadata)
        assert about == {"hdf5": {"text": "ü"}, "hdf5.types": [["text", "str:utf-8", None]]}
    back = convert(convert(tmp_path / "a.h5", tmp_path / "a.dcz"), tmp_path / "b.h5")
    with h5py.File(back) as file:
        assert [np.bytes_(each) for each in file.attrs["layer_names"]] == [b"dense", b"conv"] and file.attrs[
            "version"
        ] == 3
        assert file["dense/kernel"].attrs["text"] == "ü" and file["dense/tied"] == file["dense/kernel"]


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


def archive(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with h5py.File(path.parent / "inner.h5", "w") as file:
        file["layers/dense/vars/0"] = np.arange(2000.0)
    members = {"model.weights.h5": (path.parent / "inner.h5").read_bytes()} | members
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    os.remove(path.parent / "inner.h5")
    return path


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


def test_what_points_out_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(80))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["w"] = np.zeros(10)
    makers = {
        "external": lambda f: f.create_dataset("w", (10,), "f8", external=[(str(tmp_path / "secret"), 0, 80)]),
        "linked": lambda f: f.__setitem__("w", h5py.ExternalLink(str(tmp_path / "other.h5"), "/w")),
        "soft": lambda f: f.__setitem__("w", h5py.SoftLink("/nowhere")),
    }

    def virtual(file: object) -> None:
        layout = h5py.VirtualLayout((10,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "w", (10,))
        file.create_virtual_dataset("w", layout)

    for name, make in (makers | {"virtual": virtual}).items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(UnsupportedError, match="keeps its values in other files|is a link to somewhere else"):
            open_model(path)


def test_groups_in_a_circle(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/again"] = file.create_group("group/inner")
    with pytest.raises(FormatError, match="group 'group/inner' is 'group/again' again"):
        open_model(tmp_path / "a.h5")


def test_what_is_no_weight_is_left_out_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.arange(3)
        file["words"] = ["text"]
        file["again"] = file["words"]
        file["nothing"] = h5py.Empty("f")
        file["pairs"] = np.zeros(2, "f4,i4")
        file["points"] = np.array([file["w"].ref], h5py.ref_dtype)
        file["kind"] = np.dtype("f4")
        file["w"].attrs["pairs"] = np.zeros(2, "f4,i4")
        file["w"].attrs["choice"] = np.array(1, dtype=h5py.enum_dtype({"a": 1}))
    with open_model(tmp_path / "a.h5") as model:
        moved = transfer(model, open_target(tmp_path / "a.dcz"))
    assert list(moved.left_out) == [
        "again", "kind", "nothing", "pairs", "points", "attribute 'choice' of 'w'", "attribute 'pairs' of 'w'", "words",
    ]  # fmt: skip
    assert list(dcz.load_file(tmp_path / "a.dcz")) == ["w"]


@pytest.mark.parametrize("deep", [False, True])
def test_references_are_refused_by_name(tmp_path: Path, deep: bool) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.arange(3)
        if deep:
            file["w"].dims[0].attach_scale(file.create_dataset("x", data=np.arange(3)))
        else:
            file.attrs["points"] = file["w"].ref
    with pytest.raises(
        UnsupportedError, match="a.h5: attribute '(points|DIMENSION_LIST)' of '(w|/)': refers to other objects"
    ):
        open_model(tmp_path / "a.h5")


def described(item: object, name: str = "/") -> dict[str, object]:
    """Everything of a file: order, kinds, and of each attribute the stored type, the space and the values."""
    out: dict[str, object] = {}
    for key in item.attrs:
        attribute = h5py.h5a.open(item.id, key.encode())
        value = item.attrs[key]
        plain = value if isinstance(value, (str, h5py.Empty)) else np.asarray(value).tolist()
        bits = None if isinstance(plain, (str, h5py.Empty)) else np.asarray(value).tobytes()
        bits = None if np.asarray(value).dtype.kind == "O" else bits
        out[f"{name} @{key}"] = (attribute.get_type().encode(), attribute.get_space().encode(), repr(plain), bits)
    if isinstance(item, h5py.Group):
        item = item["/"] if name == "/" else item  # which knows its order, as a file does not
        ordered = item.id.get_create_plist().get_link_creation_order()
        out[name] = (list(item), list(item.attrs), ordered)
        for key in item:
            out |= described(item[key], f"{name}{key}/")
    else:
        out[name] = (item.dtype, item.shape, item[()].tobytes(), list(item.attrs))
    return out


def test_groups_and_attributes_come_back_as_they_were(tmp_path: Path) -> None:
    text, latin = h5py.string_dtype(), h5py.string_dtype("ascii")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in {
            "i32": np.int32(-5), "u8": np.uint8(3), "f4": np.float32(0.1), "f2": np.float16(2), "f8": 0.1,
            "bool": np.bool_(True),
            "big": np.arange(6, dtype=">i2").reshape(2, 3), "none": np.zeros((0, 3), "f4"), "long": np.arange(3000),
            "complex": np.complex64(1 + 2j), "nan": np.array([0x7FC00123], np.uint32).view("f4"),
            "one": np.array([7], "i8"),
            "text": "ü", "empty text": "", "fixed": np.bytes_("abc"), "fixed list": np.array([b"dense", b"x"]),
            "texts": np.array(["a", "bc"], text), "ascii": np.array("abc", latin), "flags": np.array([True, False]),
            "utf-8 of 7": np.array("aü".encode(), h5py.string_dtype("utf-8", 7)), "no text": np.array([], text),
            "empty": h5py.Empty("f4"), "empty string": h5py.Empty("S5"), "not UTF-8": np.array(b"\xff\xfe", text),
        }.items():  # fmt: skip
            file.attrs[name] = value
        for number, pad in enumerate((h5py.h5t.STR_SPACEPAD, h5py.h5t.STR_NULLTERM)):
            kind = h5py.h5t.C_S1.copy()
            kind.set_size(6)
            kind.set_strpad(pad)
            space = h5py.h5s.create(h5py.h5s.SCALAR)
            h5py.h5a.create(file.id, f"pad {number}".encode(), kind, space).write(np.array(b"abc", "S6"))
        file.create_group("flatten").attrs["weight_names"] = np.zeros(0, "S1")
        file.create_group("top_level_model_weights")
        file.create_group("a/deep/group")
        ordered = file.create_group("ordered", track_order=True)
        for name in ("z", "b/x", "a"):
            ordered[name] = np.arange(3.0)
            ordered[name].attrs["n"] = np.int16(len(name))
        ordered["first again"] = ordered["z"]
        ordered.create_group("A").attrs["x"] = np.float32(1)
        for name in ("last", "first"):
            ordered.attrs[name] = np.int32(1)
    back = convert(convert(tmp_path / "a.h5", tmp_path / "a.dcz"), tmp_path / "b.h5")
    with h5py.File(tmp_path / "a.h5") as one, h5py.File(back) as two:
        assert described(one) == described(two)
        assert two["ordered/first again"] == two["ordered/z"]


def test_a_file_that_keeps_its_order(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        for name in ("z", "m/w", "a"):
            file[name] = np.arange(2)
    back = convert(convert(tmp_path / "a.h5", tmp_path / "a.dcz"), tmp_path / "b.h5")
    with h5py.File(back) as file:
        assert list(file) == ["z", "m", "a"]


METADATA = {
    "values": {"hdf5": 5}, "values of an object": {"hdf5": {"w": 5}},
    "types": {"hdf5": {"w": {"a": 1}}, "hdf5.types": 5},
    "types of an object": {"hdf5": {"w": {"a": 1}}, "hdf5.types": {"w": 5}},
    "a type": {"hdf5": {"w": {"a": 1}}, "hdf5.types": {"w": [["a", 5, None]]}},
    "a type that is none": {"hdf5": {"w": {"a": 1}}, "hdf5.types": {"w": [["a", "O", None]]}},
    "a shape": {"hdf5": {"w": {"a": [1]}}, "hdf5.types": {"w": [["a", "<i4", [2]]]}},
    "a huge shape": {"hdf5": {"w": {"a": b""}}, "hdf5.types": {"w": [["a", "<i4", [1 << 60]]]}},
    "a negative shape": {"hdf5": {"w": {"a": b""}}, "hdf5.types": {"w": [["a", "<i4", [-1]]]}},
    "strings that are none": {"hdf5": {"w": {"a": 5}}, "hdf5.types": {"w": [["a", "str:utf-8", None]]}},
    "a huge string": {"hdf5": {"w": {"a": "x"}}, "hdf5.types": {"w": [["a", "str:utf-8:9999999:nullpad", None]]}},
    "groups": {"hdf5.groups": 5}, "a group": {"hdf5.groups": [["a", "empty"]]},
    "a path": {"hdf5.groups": [["../a", "empty", []]]}, "an order": {"hdf5.groups": [["a", "ordered", [5]]]},
}  # fmt: skip


@pytest.mark.parametrize(
    "about",
    [{"hdf5": 5}, {"hdf5": {"a": 1}, "hdf5.types": 5}, {"hdf5": {"a": 1}, "hdf5.types": [["a", "O", None]]}],
)
def test_hostile_metadata_of_a_tensor(tmp_path: Path, about: dict) -> None:
    dcz.save_file({"w": np.zeros(3)}, tmp_path / "a.dcz", tensor_metadata={"w": about})
    with pytest.raises(DczError, match="metadata: hdf5: 'w'"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")
    assert os.listdir(tmp_path) == ["a.dcz"]


@pytest.mark.parametrize("extension", [".dcz.index.json", ".dcz"])
def test_attributes_of_datasets_in_several_files(tmp_path: Path, extension: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("a/w", "b/w"):
            file[name] = np.arange(100.0)
            file[name].attrs["of"] = np.float32(len(file))
    with open_model(tmp_path / "a.h5") as model:
        size = 900 if extension != ".dcz" else None
        transfer(model, open_target(tmp_path / f"m{extension}", shard_size=size))
    with h5py.File(tmp_path / "a.h5") as one, h5py.File(convert(tmp_path / f"m{extension}", tmp_path / "b.h5")) as two:
        assert described(one) == described(two)


@pytest.mark.parametrize("name", METADATA)
def test_hostile_metadata(tmp_path: Path, name: str) -> None:
    dcz.save_file({"w": np.zeros(3)}, tmp_path / "a.dcz", metadata=METADATA[name])
    with pytest.raises(DczError, match=r"b\.h5: metadata: hdf5"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")
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
        DczError, match=r"b\.keras: metadata: keras: .* (could escape the folder|cannot be a member|are more than 4096)"
    ):
        convert(tmp_path / "a.dcz", tmp_path / "b.keras")
    assert os.listdir(tmp_path) == ["a.dcz"]


def fill(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (1 << 24,), "f4", fillvalue=1.0)


def squeeze(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", data=np.zeros(1 << 22, "f4"), compression="gzip", chunks=(1 << 22,))


def chunk(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (1,), "f4", maxshape=(None,), chunks=(1 << 24,), compression="gzip")


def dimensions(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("w", (1 << 62,), "i1", chunks=(1,))


@pytest.mark.parametrize("make", [fill, squeeze, chunk, dimensions])
def test_files_that_would_fill_the_memory(tmp_path: Path, make, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "a.h5")
    assert (tmp_path / "a.h5").stat().st_size < 40_000
    monkeypatch.setattr("dcz.limits.FREE_EXPANSION_BYTES", 1 << 20)
    monkeypatch.setattr("dcz.limits.EXPANSION_RATIO", 10)
    with pytest.raises(LimitError, match="a.h5: .*'w': "):
        open_model(tmp_path / "a.h5")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_archives_that_would_fill_the_disk(tmp_path: Path, compression: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.keras", "w", compression) as file:
        file.writestr("config.json", "{}")
        file.writestr("model.weights.h5", bytes(1 << 25))
    monkeypatch.setattr("dcz.limits.FREE_EXPANSION_BYTES", 1 << 20)
    monkeypatch.setattr("dcz.limits.EXPANSION_RATIO", 10)
    with pytest.raises(LimitError, match="a.keras: model.weights.h5 would take 33554432 bytes"):
        open_model(tmp_path / "a.keras")


@pytest.mark.parametrize("name", ["a.h5", "a.keras"])
def test_pipes_are_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UnsupportedError, match=f"{name}: is not a regular file"):
        open_model(tmp_path / name)


@pytest.mark.parametrize("name", ["/w", "w/", "a//b", "a/../b", ".", "a\0b", ""])
def test_names_that_are_no_paths(tmp_path: Path, name: str) -> None:
    dcz.save_file({name: np.zeros(3)}, tmp_path / "a.dcz")
    with pytest.raises(DczError, match="this name is not a path of an HDF5 dataset"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")


def test_a_dataset_that_would_be_a_group(tmp_path: Path) -> None:
    dcz.save_file({"a": np.zeros(3), "a/b": np.ones(2)}, tmp_path / "a.dcz")
    with pytest.raises(DczError, match="tensor 'a/b': 'a' is a dataset, and cannot be its group, too"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")


def test_dtypes_that_it_lacks(tmp_path: Path) -> None:
    dcz.save_file({"w": np.zeros(3, DTYPES["F8_E5M2"].numpy())}, tmp_path / "a.dcz")
    with pytest.raises(UnsupportedError, match="tensor 'w': HDF5 cannot hold F8_E5M2; write safetensors instead"):
        convert(tmp_path / "a.dcz", tmp_path / "b.h5")
    assert os.listdir(tmp_path) == ["a.dcz"]


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.h5").write_bytes(b"no file of HDF5")
    (tmp_path / "a.keras").write_bytes(b"no archive")
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file["w"] = np.zeros(5000)
    (tmp_path / "cut.h5").write_bytes((tmp_path / "whole.h5").read_bytes()[:9000])
    archive(tmp_path / "broken.keras", {"model.weights.h5": b"nothing of it"})
    with zipfile.ZipFile(tmp_path / "empty.keras", "w"):
        pass
    for name, message in (
        ("a.h5", "not an HDF5 file"), ("cut.h5", "not an HDF5 file, or one that is cut off"),
        ("a.keras", "not a .keras archive with"),
        ("broken.keras", "not an HDF5 file"), ("empty.keras", "not a .keras archive with model.weights.h5"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=message):
            open_model(tmp_path / name)
    monkeypatch.setattr("dcz.convert.keras_archive._MAX_MEMBERS", 10)
    with pytest.raises(LimitError, match="what is beside the weights takes more than 10 bytes"):
        open_model(archive(tmp_path / "large.keras", {"config.json": bytes(11)}))
    for name in ("missing.h5", "missing.keras"):
        with pytest.raises(FileNotFoundError):
            open_model(tmp_path / name)


def test_garbled_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/w"] = np.arange(10.0)
        file.attrs["x"] = "y"
    data = (tmp_path / "a.h5").read_bytes()
    damaged = 0
    for at in range(0, len(data), 7):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        (tmp_path / "b.h5").write_bytes(changed)
        try:
            with open_model(tmp_path / "b.h5") as model:
                for tensor in model.tensors():
                    model.read(tensor.name)
        except DczError:
            damaged += 1
    assert damaged


def test_a_heap_that_the_library_would_read_for_ever(tmp_path: Path) -> None:
    """Of strings of any length: an object in their heap that takes no bytes."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.arange(3)
        file.attrs["text"] = "abc"
    data = bytearray((tmp_path / "a.h5").read_bytes())
    assert data.count(b"GCOL\x01") == 1
    first = data.index(b"GCOL\x01") + 16
    size = int.from_bytes(data[first + 8 : first + 16], "little")
    free = first + 16 + -(-size // 8) * 8
    for at, changed in ((free + 8, bytes(8)), (first + 8, b"\xf0" + b"\xff" * 7), (first + 8, b"\xff" * 3)):
        broken = bytearray(data)
        broken[at : at + len(changed)] = changed
        (tmp_path / "b.h5").write_bytes(broken)
        with pytest.raises(FormatError, match="b.h5: an object of .* bytes in the heap at .*; the file is damaged"):
            open_model(tmp_path / "b.h5")
