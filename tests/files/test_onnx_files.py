"""ONNX initializers: the values the library reads, wherever they lie, and nothing from outside the model's folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from support.arrays import make_array
from support.bits import assert_same_bits

onnx = pytest.importorskip("onnx", reason="ONNX is not installed (pip install 'dcz[onnx]')")

T = onnx.TensorProto
KINDS = {
    "F32": T.FLOAT, "U8": T.UINT8, "I8": T.INT8, "U16": T.UINT16, "I16": T.INT16, "I32": T.INT32, "I64": T.INT64,
    "BOOL": T.BOOL, "F16": T.FLOAT16, "F64": T.DOUBLE, "U32": T.UINT32, "U64": T.UINT64, "C64": T.COMPLEX64,
    "C128": T.COMPLEX128, "BF16": T.BFLOAT16,
    "F8_E4M3": T.FLOAT8E4M3FN, "F8_E5M2": T.FLOAT8E5M2, "F8_E4M3FNUZ": T.FLOAT8E4M3FNUZ,
    "F8_E5M2FNUZ": T.FLOAT8E5M2FNUZ,
}  # fmt: skip


def array_of(code: str, shape: tuple[int, ...] = (6, 5)) -> np.ndarray:
    array = make_array(2, code, shape, 0.6, 40, "float")
    return (array.view(np.uint8).reshape(shape) & 1).astype(bool) if code == "BOOL" else array


def raw(name: str, code: str, array: np.ndarray) -> object:
    return onnx.helper.make_tensor(name, KINDS[code], array.shape, array.tobytes(), raw=True)


def save(path: Path, initializers: list, nodes: tuple = (), sparse: tuple = ()) -> Path:
    graph = onnx.helper.make_graph(list(nodes), "g", [], [], initializers, sparse_initializer=list(sparse))
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return path


def external(name: str, array: np.ndarray, **fields: object) -> object:
    proto = T(name=name, data_type=T.FLOAT, dims=array.shape, data_location=T.EXTERNAL)
    for key, value in fields.items():
        proto.external_data.add(key=key, value=str(value))
    return proto


def read(path: Path) -> dict[str, np.ndarray]:
    with open_model(path) as model:
        transfer(model, open_target(path.with_suffix(".dcz")))
    return dcz.load_file(path.with_suffix(".dcz"))


def test_every_dtype_as_bytes(tmp_path: Path) -> None:
    arrays = {code: array_of(code) for code in KINDS} | {"scalar": np.float32(3), "empty": np.zeros((0, 2), "<f4")}
    protos = [raw(name, name if name in KINDS else "F32", np.asarray(array)) for name, array in arrays.items()]
    found = read(save(tmp_path / "m.onnx", protos))
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        assert_same_bits(found[name], array)


@pytest.mark.parametrize("code", ["F32", "F64", "I8", "I32", "I64", "U64", "U32", "BOOL", "F16", "BF16", "C64"])
def test_values_in_lists(tmp_path: Path, code: str) -> None:
    array = array_of(code)
    proto = onnx.helper.make_tensor(
        "w",
        KINDS[code],
        array.shape,
        array.reshape(-1).tolist() if code not in ("F16", "BF16") else array.reshape(-1).astype(np.float32),
    )
    assert not proto.HasField("raw_data")
    assert_same_bits(read(save(tmp_path / "m.onnx", [proto]))["w"], array)


@pytest.mark.parametrize(("kind", "name", "low", "high"), [(T.INT4, "int4", -8, 7), (T.UINT4, "uint4", 0, 15)])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_four_bits(tmp_path: Path, kind: int, name: str, low: int, high: int, as_bytes: bool) -> None:
    import ml_dtypes

    values = np.random.Generator(np.random.PCG64(1)).integers(low, high + 1, 15)
    proto = onnx.helper.make_tensor("w", kind, (3, 5), values.tolist())
    if as_bytes:
        nibbles = [int(v) & 15 for v in values] + [0]
        data = bytes(a | b << 4 for a, b in zip(nibbles[::2], nibbles[1::2]))
        proto = onnx.helper.make_tensor("w", kind, (3, 5), data, raw=True)
    found = read(save(tmp_path / "m.onnx", [proto]))["w"]
    assert found.dtype == getattr(ml_dtypes, name) and found.shape == (3, 5)
    assert (found.astype(int).reshape(-1) == values).all()


def test_sparse_initializers(tmp_path: Path) -> None:
    dense = np.zeros((4, 5), "<f4")
    dense[[0, 2, 3], [1, 4, 0]] = [1.5, -2, np.nan]
    values = raw("flat", "F32", dense[dense != 0])
    flat = onnx.helper.make_sparse_tensor(values, raw("i", "I64", np.flatnonzero(dense)), dense.shape)
    values = raw("pairs", "F32", dense[dense != 0])
    pairs = onnx.helper.make_sparse_tensor(values, raw("i", "I64", np.argwhere(dense)), dense.shape)
    found = read(save(tmp_path / "m.onnx", [], sparse=(flat, pairs)))
    for name in ("flat", "pairs"):
        assert_same_bits(found[name], dense)


def test_subgraphs_may_use_a_name_again(tmp_path: Path) -> None:
    """Names of subgraphs are their own; a path of nodes and attributes leads to them."""
    arrays = {name: array_of("F32") + at for at, name in enumerate(("w", "If_0.then_branch.w", "If_0.else_branch.w"))}
    then, other = (
        onnx.helper.make_graph([], name, [], [], [raw("w", "F32", arrays[f"If_0.{name}_branch.w"])])
        for name in ("then", "else")
    )
    node = onnx.helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    found = read(save(tmp_path / "m.onnx", [raw("w", "F32", arrays["w"])], (node,)))
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        assert_same_bits(found[name], array)
    twice = [raw("w", "F32", arrays["w"])] * 2
    with pytest.raises(DczError, match="n.onnx: initializer 'w': duplicate name"):
        open_model(save(tmp_path / "n.onnx", twice))


def constant(output: str, **value: object) -> object:
    return onnx.helper.make_node("Constant", [], [output], **value)


def test_weights_of_nodes(tmp_path: Path) -> None:
    """Constants of every kind, tensors that other nodes have, and those of functions."""
    dense = np.zeros((4, 5), "<f4")
    dense[[0, 2, 3], [1, 4, 0]] = [1.5, -2, 7]
    sparse = onnx.helper.make_sparse_tensor(
        raw("v", "F32", dense[dense != 0]), raw("i", "I64", np.flatnonzero(dense)), dense.shape
    )
    array = array_of("F32")
    nodes = [
        constant("tensor", value=raw("", "F32", array)), constant("sparse", sparse_value=sparse),
        constant("float", value_float=1.5), constant("floats", value_floats=[0.5, -2.0]),
        constant("int", value_int=-7), constant("ints", value_ints=[1, 2, 3]),
        constant("text", value_string="words"), constant("", value=raw("", "F32", array)),
        onnx.helper.make_node("ConstantOfShape", ["s"], ["y"], name="fill",
            value=raw("", "F32", array.reshape(-1)[:1])),
    ]  # fmt: skip
    path = save(tmp_path / "m.onnx", [], tuple(nodes))
    model = onnx.load(path)
    function = onnx.helper.make_function(
        "my", "Scale", ["x"], ["y"], [constant("k", value=raw("", "F32", array)), constant("x2", value_float=2.0)], []
    )
    function.node[1].attribute[0].ref_attr_name = "alpha"
    model.functions.append(function)
    path.write_bytes(model.SerializeToString())
    found = read(path)
    expected = {
        "tensor": array, "sparse": dense, "float": np.array(1.5, "<f4"), "floats": np.array([0.5, -2], "<f4"),
        "int": np.array(-7), "ints": np.array([1, 2, 3]), "Constant_7.value": array,
        "fill.value": array.reshape(-1)[:1],
        "function.my.Scale.k": array,
    }  # fmt: skip
    assert sorted(found) == sorted(expected)
    for name, each in expected.items():
        assert_same_bits(found[name], each)


def test_data_in_another_file(tmp_path: Path) -> None:
    """As the library writes it, in a folder of its own, and linked as in the hub's cache."""
    array = make_array(1, "F32", (50, 60), 0.4)
    graph = onnx.helper.make_graph([], "g", [], [], [raw("w", "F32", array), raw("v", "F32", array[:2])])
    onnx.save(
        onnx.helper.make_model(graph),
        tmp_path / "m.onnx",
        save_as_external_data=True,
        location="m.onnx_data",
        size_threshold=0,
    )
    assert (tmp_path / "m.onnx").stat().st_size < 1000
    assert_same_bits(read(tmp_path / "m.onnx")["w"], array)
    os.mkdir(tmp_path / "sub")
    (tmp_path / "sub" / "data").write_bytes(bytes(7) + array.tobytes())
    save(tmp_path / "s.onnx", [external("w", array, location="sub/data", offset=7, length=array.nbytes)])
    assert_same_bits(read(tmp_path / "s.onnx")["w"], array)
    os.mkdir(tmp_path / "snapshot")
    for name in ("m.onnx", "m.onnx_data"):
        os.symlink(f"../{name}", tmp_path / "snapshot" / name)
    assert_same_bits(read(tmp_path / "snapshot" / "m.onnx")["w"], array)


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/hostname", "sub/../../secret", "..", "", "C:\\secret", "..\\secret", "link"]
)
def test_data_outside_of_the_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(40))
    os.makedirs(tmp_path / "model" / "sub")
    os.symlink("../secret", tmp_path / "model" / "link")
    path = save(tmp_path / "model" / "m.onnx", [external("w", np.zeros(10), location=location)])
    with open_model(path) as model, pytest.raises(FormatError, match="outside the model's folder; put the file"):
        model.read("w")


A = np.zeros(10, np.float32)
BROKEN = {
    "data that are cut off": (
        external("w", A, location="data", offset=8),
        TruncatedError,
        "8 bytes short .40 in all.; finish the",
    ),
    "a length of another shape": (
        external("w", A, location="data", length=39),
        FormatError,
        "expected 40 bytes for its shape, found 39",
    ),
    "an offset that is none": (external("w", A, location="data", offset="-1"), FormatError, "are not numbers"),
    "too few values": (
        T(name="w", data_type=T.FLOAT, dims=[3], float_data=[1, 2]),
        FormatError,
        "do not fit its shape",
    ),
    "bytes of another shape": (
        T(name="w", data_type=T.FLOAT, dims=[3], raw_data=bytes(11)),
        FormatError,
        "for its shape, found 11",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data(tmp_path: Path, name: str) -> None:
    proto, error, message = BROKEN[name]
    (tmp_path / "data").write_bytes(bytes(40))
    with open_model(save(tmp_path / "m.onnx", [proto])) as model:
        with pytest.raises(error, match=message):
            model.read("w")


def test_what_is_no_model(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", [raw("w", "F32", np.zeros(100, np.float32))])
    data = path.read_bytes()
    for name, content in {"text": b"this is no model", "cut": data[:-70]}.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(FormatError, match="not an ONNX model"):
            open_model(tmp_path / f"{name}.onnx")
    with pytest.raises(FileNotFoundError):
        open_model(tmp_path / "missing.onnx")


def test_types_that_cannot_be_stored_are_left_out_by_name(tmp_path: Path) -> None:
    unknown = T(name="new", data_type=77, dims=[1], raw_data=b"x")
    text = onnx.helper.make_tensor("text", T.STRING, [1], [b"text"])
    with open_model(save(tmp_path / "m.onnx", [text, raw("w", "F32", array_of("F32")), unknown])) as model:
        moved = transfer(model, open_target(tmp_path / "m.dcz"))
    assert moved.tensors == 1 and moved.left_out == {
        "text": "elements of type STRING cannot be stored", "new": "elements of type 77 cannot be stored",
    }  # fmt: skip


@pytest.mark.parametrize("dims", [[1] * 65, [1 << 62], [0, 1 << 62], [-1]])
def test_shapes_that_no_array_has(tmp_path: Path, dims: list[int]) -> None:
    path = save(tmp_path / "m.onnx", [T(name="w", data_type=T.FLOAT, dims=dims, raw_data=b"1234")])
    with pytest.raises((LimitError, FormatError), match="m.onnx: initializer 'w': shape"):
        open_model(path)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_data_that_are_no_file(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "data") if kind == "pipe" else os.mkdir(tmp_path / "data")
    with open_model(save(tmp_path / "m.onnx", [external("w", A, location="data")])) as model:
        with pytest.raises(UnsupportedError, match="m.onnx: initializer 'w': .*data is not a regular file"):
            model.read("w")


def test_data_that_are_a_pointer(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 40\n")
    with pytest.raises(DczError, match="data: .*git lfs pull"):
        open_model(save(tmp_path / "m.onnx", [external("w", A, location="data")]))


def test_graphs_in_graphs_without_end(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph([], "g", [], [])
    for _ in range(33):
        graph = onnx.helper.make_graph([onnx.helper.make_node("If", ["c"], ["y"], then_branch=graph)], "g", [], [])
    (tmp_path / "m.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(DczError, match="m.onnx: (graphs are nested deeper than 32|not an ONNX model)"):
        open_model(tmp_path / "m.onnx")


def test_sparse_initializers_that_lie(tmp_path: Path) -> None:
    values, index = raw("w", "F32", np.ones(2, np.float32)), raw("i", "I64", np.array([0, 5]))
    for sparse, error, message in (
        (onnx.helper.make_sparse_tensor(values, index, [4]), FormatError, "an index is outside shape"),
        (
            onnx.helper.make_sparse_tensor(values, raw("i", "I64", np.array([1])), [4]),
            FormatError,
            r"\[2\] values with indices of int64 \(1,\)",
        ),
        (
            onnx.helper.make_sparse_tensor(values, raw("i", "I64", np.array([[0, 9], [1, 1]])), [4, 4]),
            FormatError,
            "its indices do not fit its shape",
        ),
        (
            onnx.helper.make_sparse_tensor(values, raw("i", "I64", np.array([1, 1])), [4]),
            FormatError,
            "duplicate index",
        ),
    ):
        with open_model(save(tmp_path / "m.onnx", [], sparse=(sparse,))) as model, pytest.raises(error, match=message):
            model.read("w")
    path = save(tmp_path / "m.onnx", [], sparse=(onnx.helper.make_sparse_tensor(values, index, [1 << 44]),))
    with pytest.raises(LimitError, match="m.onnx: tensor 'w': decoding needs"):
        open_model(path)


def test_garbled_models(tmp_path: Path) -> None:
    data = save(tmp_path / "m.onnx", [raw("w", "F32", np.ones(4, np.float32))]).read_bytes()
    damaged = 0
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        (tmp_path / "b.onnx").write_bytes(changed)
        try:
            with open_model(tmp_path / "b.onnx") as model:
                for tensor in model.tensors():
                    model.read(tensor.name)
        except DczError:
            damaged += 1
    assert damaged


def test_doc_strings_of_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [onnx.numpy_helper.from_array(np.arange(4.0) + i, name) for i, name in enumerate("abc")]
    tensors[0].doc_string, tensors[1].doc_string = "the weights of a ü layer", "b" * 100
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["a"], ["y"])], "g", [], [], tensors)
    onnx.save_model(onnx.helper.make_model(graph), tmp_path / "m.onnx")

    def pack() -> tuple[dict[str, dict], dict[str, str]]:
        with open_model(tmp_path / "m.onnx") as model:
            moved = transfer(model, open_target(tmp_path / "m.dcz"))
        with dcz.open(tmp_path / "m.dcz") as reader:
            return {name: dict(reader.info(name).metadata) for name in reader}, dict(moved.left_out)

    documents = {name: {"onnx.doc_string": tensor.doc_string} for name, tensor in zip("ab", tensors)}
    assert pack() == ({**documents, "c": {}}, {})
    monkeypatch.setattr("dcz.convert.onnx._LARGEST_DOCUMENTS", 100)
    assert pack() == (
        {"a": documents["a"], "b": {}, "c": {}}, {"doc string of b": "more than 100 bytes of them in all"},
    )  # fmt: skip
