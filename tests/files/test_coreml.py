"""Core ML packages: what coremltools packs is read as what coremltools itself makes of it, and nothing from outside."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.errors import DczError, FormatError, LimitError, TruncatedError, UnsupportedError
from support.bits import assert_same_bits

logging.getLogger("coremltools").setLevel(logging.CRITICAL)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ct = pytest.importorskip(
        "coremltools", reason="coremltools is not installed, or does not run here (pip install 'dcz[coreml]')"
    )
    try:
        from coremltools.converters.mil import Builder as mb
        from coremltools.converters.mil.mil import types
        from coremltools.optimize.coreml import decompress_weights
    except Exception as error:  # whatever it cannot do on this system
        pytest.skip(f"coremltools does not run here: {error}", allow_module_level=True)

COUNT = 100
pytestmark = pytest.mark.filterwarnings("ignore")
IOS = {16: ct.target.iOS16, 18: ct.target.iOS18}
UINT = {
    1: types.np_uint1_dtype,
    2: types.np_uint2_dtype,
    3: types.np_uint3_dtype,
    4: types.np_uint4_dtype,
    6: types.np_uint6_dtype,
    8: np.uint8,
}


def package(path: Path, make: object, ios: int = 18) -> Path:
    """A model that multiplies by the weight of shape (64, 32) that `make` makes."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 32))], opset_version=IOS[ios])
    def program(x: object) -> object:
        return mb.linear(x=x, weight=make(), bias=np.linspace(-1, 1, 64).astype(np.float32), name="fc")

    pipeline = ct.PassPipeline.EMPTY
    model = ct.convert(
        program, convert_to="mlprogram", minimum_deployment_target=IOS[ios], compute_precision=ct.precision.FLOAT32,
        skip_model_load=True, pass_pipeline=pipeline,
    )  # fmt: skip
    model.save(str(path))
    return path


def read(path: Path) -> dict[str, np.ndarray]:
    with open_model(path) as model:
        return {tensor.name: np.array(model.read(tensor.name)) for tensor in model.tensors()}


def weight(path: Path) -> np.ndarray:
    (found,) = (array for name, array in read(path).items() if array.shape == (64, 32))
    return found


def decompressed(path: Path) -> np.ndarray:
    """The weight as coremltools unpacks it."""
    plain = decompress_weights(ct.models.MLModel(str(path), skip_model_load=True))
    plain.save(str(path.with_name("plain.mlpackage")))
    return weight(path.with_name("plain.mlpackage"))


RNG = np.random.Generator(np.random.PCG64(1))
MASK = RNG.random((64, 32)) < 0.3
VALUES = RNG.standard_normal(int(MASK.sum())).astype(np.float32)


def table(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def indices(bits: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 1 << bits, shape).astype(np.uint8).astype(UINT[bits])


def sparse18() -> object:
    return mb.constexpr_sparse_to_dense(nonzero_data=VALUES, mask=MASK.astype(UINT[1]))


def sparse16() -> object:
    packed = np.packbits(MASK.reshape(-1), bitorder="little")
    return mb.constexpr_sparse_to_dense(nonzero_data=VALUES, mask=packed, shape=np.uint32([64, 32]))


def lut16(bits: int) -> object:
    each = RNG.integers(0, 1 << bits, 64 * 32).astype(np.uint8)
    packed = np.packbits(
        np.unpackbits(each[:, None], axis=1, bitorder="little", count=bits).reshape(-1), bitorder="little"
    )
    return mb.constexpr_lut_to_dense(indices=packed, lut=table(1 << bits), shape=np.uint32([64, 32]))


def joint(bits: int, *groups: int) -> object:
    mask, values = mb.constexpr_lut_to_sparse(
        indices_mask=MASK.astype(UINT[1]),
        indices_nonzero_data=indices(bits, int(MASK.sum())),
        lut=table(*groups, 1 << bits, 1),
    )
    return mb.constexpr_sparse_to_dense(nonzero_data=values, mask=mask)


def vectors() -> object:
    return mb.constexpr_lut_to_dense(indices=indices(4, 32, 32), lut=table(1, 1, 16, 2), vector_axis=0)


MAKERS = {
    "sparse, iOS 18": (18, sparse18),
    "sparse, iOS 16": (16, sparse16),
    **{f"{bits} bits, iOS 16": (16, lambda bits=bits: lut16(bits)) for bits in (1, 2, 4, 6, 8)},
    **{
        f"{bits} bits, iOS 18": (18, lambda bits=bits: mb.constexpr_lut_to_dense(indices=indices(bits, 64, 32),
            lut=table(1, 1, 1 << bits, 1)))
        for bits in (1, 2, 3, 4, 6, 8)
    },
    "groups of rows": (18, lambda: mb.constexpr_lut_to_dense(indices=indices(4, 64, 32), lut=table(8, 1, 16, 1))),
    "groups of both": (18, lambda: mb.constexpr_lut_to_dense(indices=indices(2, 64, 32), lut=table(4, 2, 4, 1))),
    "vectors": (18, vectors),
    "sparse and palettized": (18, lambda: joint(4, 1, 1)),
    "sparse and palettized in groups": (18, lambda: joint(2, 8, 1)),
    "as it is": (18, lambda: table(64, 32)),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_the_weights_coremltools_unpacks(tmp_path: Path, name: str) -> None:
    ios, make = MAKERS[name]
    path = package(tmp_path / "m.mlpackage", make, ios)
    found = weight(path)
    assert_same_bits(found, decompressed(path))
    with open_model(path) as model:
        transfer(model, open_target(tmp_path / "m.dcz"))
    packed = dcz.load_file(tmp_path / "m.dcz")
    assert any(array.tobytes() == found.tobytes() for array in packed.values())
    assert any(array.tobytes() == np.linspace(-1, 1, 64).astype(np.float32).tobytes() for array in packed.values())


def test_a_sparse_weight_is_stored_sparse(tmp_path: Path) -> None:
    with open_model(package(tmp_path / "m.mlpackage", lambda: joint(4, 1, 1))) as model:
        transfer(model, open_target(tmp_path / "m.dcz"))
    with dcz.open(tmp_path / "m.dcz") as reader:
        (layout,) = (reader.info(name).layout for name in reader if reader.info(name).shape == (64, 32))
    assert layout.sparse and layout.codebook.entries <= 16


def test_other_compressions_keep_their_parameters(tmp_path: Path) -> None:
    """Scales and shifts compute with rounding: what is stored is what is read."""
    data, scale = RNG.integers(-8, 8, (64, 32)).astype(np.int8), table(64, 1)
    path = package(tmp_path / "m.mlpackage", lambda: mb.constexpr_blockwise_shift_scale(data=data, scale=scale))
    found = {name.rpartition("/")[2]: array for name, array in read(path).items()}
    assert_same_bits(found["data"], data)
    assert_same_bits(found["scale"], scale)


def weights_file(path: Path) -> Path:
    return path / "Data" / "com.apple.CoreML" / "weights" / "weight.bin"


def test_what_is_cut_off(tmp_path: Path) -> None:
    path = package(tmp_path / "m.mlpackage", lambda: table(64, 32))
    size = os.path.getsize(weights_file(path))
    os.truncate(weights_file(path), size - 7)
    with pytest.raises(TruncatedError, match=r"bytes short|finish the download"):
        read(path)
    os.truncate(weights_file(path), 40)
    with pytest.raises(TruncatedError, match="finish the download"):
        read(path)
    os.remove(weights_file(path))
    with pytest.raises(FileNotFoundError):
        read(path)


def change_program(path: Path, old: bytes, new: bytes) -> None:
    program = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    assert len(old) == len(new) and old in program.read_bytes()
    program.write_bytes(program.read_bytes().replace(old, new))


def test_weights_outside_of_the_package_are_refused(tmp_path: Path) -> None:
    path = package(tmp_path / "m.mlpackage", lambda: table(64, 32))
    old = b"@model_path/weights/weight.bin"
    for number, new in enumerate((b"@model_path/../../../../../../x", b"/model_path/weights/weight.bin")):
        other = shutil.copytree(path, tmp_path / f"{number}.mlpackage")
        change_program(other, old, new[: len(old)])
        with pytest.raises(FormatError, match="outside the model's folder; put the file into it"):
            read(other)
    os.rename(weights_file(path), tmp_path / "secret")
    os.symlink(tmp_path / "secret", weights_file(path))
    with pytest.raises(FormatError, match="outside the model's folder; put the file into it"):
        read(path)


def test_manifests_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "m.mlpackage"
    os.mkdir(path)
    with pytest.raises(FormatError, match="not a Core ML package"):
        open_model(path)
    item = {"itemInfoEntries": {"a": {"path": "../../secret"}}, "rootModelIdentifier": "a"}
    for text, message in (
        ("{", "does not name a model"),
        ("[]", "does not name a model"),
        (json.dumps(item), "outside the package; name a model in it"),
    ):
        (path / "Manifest.json").write_text(text)
        with pytest.raises(FormatError, match=message):
            open_model(path)


def test_other_models(tmp_path: Path) -> None:
    (tmp_path / "a.mlmodel").write_bytes(b"\xff no model")
    with pytest.raises(FormatError, match="not a Core ML model, or cut off"):
        open_model(tmp_path / "a.mlmodel")
    (tmp_path / "b.mlmodel").write_bytes(b"\x08\x08")
    with pytest.raises(UnsupportedError, match="not a Core ML model; weights of ML programs are read"):
        open_model(tmp_path / "b.mlmodel")
    with pytest.raises(FileNotFoundError):
        open_model(tmp_path / "missing.mlpackage")


def test_parameters_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = package(tmp_path / "m.mlpackage", sparse18)
    data = bytearray(weights_file(path).read_bytes())
    at = data.find(np.packbits(MASK.reshape(-1), bitorder="little").tobytes())
    assert at > 0
    data[at] ^= 1
    weights_file(path).write_bytes(data)
    with pytest.raises(FormatError, match="its parameters do not fit each other .*values for .* places"):
        read(path)
    monkeypatch.setattr("dcz.limits.default_max_bytes", lambda size: 8000)
    with pytest.raises(LimitError, match="decoding needs 8192 bytes; the limit is 8000"):
        open_model(path)


def changed(path: Path, change: object) -> Path:
    """A package whose program is changed."""
    from coremltools.proto.Model_pb2 import Model

    program = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    model = Model()
    model.ParseFromString(program.read_bytes())
    (block,) = model.mlProgram.functions["main"].block_specializations.values()
    change(block)
    program.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("make", [lambda: table(64, 32), sparse18, lambda: np.ones((64, 32), np.float32)])
def test_operations_without_outputs(tmp_path: Path, make: object) -> None:
    path = package(tmp_path / "m.mlpackage", make)

    def strip(block: object) -> None:
        for op in block.operations:
            if op.type.startswith("const"):
                del op.outputs[:]

    with pytest.raises(FormatError, match="an operation 'const.*' has no output, and so no name"):
        read(changed(path, strip))


def test_types_that_are_not_known_are_left_out(tmp_path: Path) -> None:
    path = package(tmp_path / "m.mlpackage", lambda: np.ones((64, 32), np.float32))
    names = list(read(path))

    def rename(block: object) -> None:
        (op,) = (op for op in block.operations if op.outputs[0].name == names[0])
        op.outputs[0].type.tensorType.dataType = op.attributes["val"].type.tensorType.dataType = 9999

    with open_model(changed(path, rename)) as model:
        assert model.left_out == {names[0]: "elements of type 9999 cannot be stored"}
        assert sorted(tensor.name for tensor in model.tensors()) == sorted(names[1:])


def test_shapes_that_no_array_has(tmp_path: Path) -> None:
    path = package(tmp_path / "m.mlpackage", lambda: np.ones((64, 32), np.float32))

    def grow(block: object) -> None:
        for op in block.operations:
            if op.type == "const":
                for dimension in op.attributes["val"].type.tensorType.dimensions:
                    dimension.constant.size = 1 << 62

    with pytest.raises(LimitError, match="takes more than"):
        read(changed(path, grow))


def test_a_pipe_as_weights(tmp_path: Path) -> None:
    path = package(tmp_path / "m.mlpackage", lambda: table(64, 32))
    program = path / "Data" / "com.apple.CoreML"
    shutil.copy(program / "model.mlmodel", tmp_path / "m.mlmodel")
    os.mkdir(tmp_path / "weights")
    os.mkfifo(tmp_path / "weights" / "weight.bin")
    with pytest.raises(UnsupportedError, match="weight.bin: is not a regular file but a pipe"):
        read(tmp_path / "m.mlmodel")


@pytest.mark.parametrize("make", [lambda: table(64, 32), sparse18])
def test_mutated_programs(tmp_path: Path, make: object) -> None:
    """Bytes of the program changed: the right weights or one error of dcz."""
    path = package(tmp_path / "m.mlpackage", make)
    program = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    data, rng, refused = program.read_bytes(), random.Random(1), 0
    for _ in range(COUNT):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            changed[rng.randrange(len(changed))] = rng.choice((0, 1, 2, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        program.write_bytes(changed)
        try:
            read(path)
        except (DczError, OSError) as error:
            assert "\n" not in str(error)
            refused += 1
    assert 0 < refused < COUNT
