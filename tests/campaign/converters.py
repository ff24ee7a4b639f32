"""Hostile files of every format that is converted: a table of format, attack and answer.

Each is read in a process of its own whose address space may grow by 256 MiB, and answers with one error that names the
file. Then each format's small file is cut and changed at random. Formats whose library is missing are left out; in the
short form all that need one are.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import struct
import tempfile
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from files.test_mutations import bitmask_file, dcz_file, gguf_file, index_file, mutated, net_file, safetensors_file

import dcz
from campaign.isolated import Crashed, isolated
from campaign.results import Result
from dcz.convert import open_model

ADDRESSES = 256 << 20
FULL, SHORT = 5_000, 20  # changed files of each format


class Attack(NamedTuple):
    """A file by its name, what is hostile about it, what makes its bytes, and a word of the answer."""

    name: str
    about: str
    make: Callable[[], bytes]
    answer: str
    needs: str = ""


def safetensors(header: object, data: bytes = b"", size: int | None = None) -> bytes:
    """A file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def tensor(begin: int = 0, end: int = 4, shape: object = (1,), dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def npy(shape: str, dtype: str = "<f4", data: bytes = b"") -> bytes:
    header = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


class _Code:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (os.path.join(tempfile.gettempdir(), "dcz-campaign-ran-code"),)


def pickled() -> bytes:
    return archive({"archive/data.pkl": pickle.dumps({"w": _Code()}), "archive/version": b"3"}, zipfile.ZIP_STORED)


def gguf(tensors: int, keys: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, keys) + rest


def text(value: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if size is None else size) + value


def onnx_external(location: str) -> bytes:
    import onnx

    each = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    each.external_data.add(key="location", value=location)
    return onnx.ModelProto(ir_version=8, graph=onnx.GraphProto(name="g", initializer=[each])).SerializeToString()


def onnx_large() -> bytes:
    import onnx

    each = onnx.TensorProto(name="w", data_type=1, dims=[1 << 31, 1 << 31], raw_data=b"1234")
    return onnx.ModelProto(ir_version=8, graph=onnx.GraphProto(name="g", initializer=[each])).SerializeToString()


def hdf5(write: Callable[[object], object]) -> bytes:
    import h5py

    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        write(file)
    return out.getvalue()


ATTACKS = (
    Attack("a.safetensors", "a header of 2^63 bytes", lambda: safetensors({}, size=1 << 63), "header"),
    Attack("a.safetensors", "shape over its data", lambda: safetensors({"w": tensor(shape=[1 << 40])}, b"1234"), "w"),
    Attack("a.safetensors", "a product beyond 64 bits", lambda: safetensors({"w": tensor(shape=[1 << 62, 8])}), "w"),
    Attack("a.safetensors", "a negative length", lambda: safetensors({"w": tensor(shape=[-1])}, b"1234"), "w"),
    Attack(
        "a.safetensors", "two tensors overlap",
        lambda: safetensors({"a": tensor(0, 4), "b": tensor(2, 6)}, b"123456"), "",
    ),
    Attack("a.safetensors", "data that no tensor has", lambda: safetensors({"a": tensor()}, b"12345678"), ""),
    Attack("a.safetensors", "a header nested 100,000 deep", lambda: safetensors(b"[" * 100_000), "header"),
    Attack(
        "a.safetensors", "a name twice",
        lambda: safetensors(b'{"a": %s, "a": %s}' % ((json.dumps(tensor()).encode(),) * 2), b"1234"), "",
    ),
    Attack("a.safetensors", "a number of 5,000 digits", lambda: safetensors(b'{"a": 1' + b"0" * 5000 + b"}"), ""),
    Attack("a.npz", "a pickle", lambda: archive({"w.npy": npy("(1,)", "|O", pickle.dumps(_Code()))}), "w"),
    Attack("a.npz", "an array of 2^60 elements", lambda: archive({"w.npy": npy(f"({1 << 60},)")}), "w"),
    Attack(
        "a.npz", "a bomb: 1 GiB of zeros in 1 MB",
        lambda: archive({"w.npy": npy(f"({1 << 28},)") + bytes(1 << 26)}), "",
    ),
    Attack("a.npz", "two archives in one file", lambda: 2 * archive({"w.npy": npy("(1,)", data=b"1234")}), "archive"),
    Attack("a.npy", "a header that is a program", lambda: npy("__import__('os').mkdir('dcz-ran')"), ""),
    Attack("a.gguf", "2^60 tensors", lambda: gguf(1 << 60, 0), ""),
    Attack("a.gguf", "2^60 keys", lambda: gguf(0, 1 << 60), ""),
    Attack("a.gguf", "a string of 2^60 bytes", lambda: gguf(0, 1, text(b"k", 1 << 60)), ""),
    Attack(
        "a.gguf", "an array of 2^60 arrays",
        lambda: gguf(0, 1, text(b"k") + struct.pack("<IIQ", 9, 9, 1 << 60)), "",
    ),
    Attack(
        "a.gguf", "arrays nested 100,000 deep",
        lambda: gguf(0, 1, text(b"k") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 100_000), "",
    ),
    Attack(
        "a.gguf", "a tensor outside of the file",
        lambda: gguf(1, 0, text(b"w") + struct.pack("<IQIQ", 1, 4, 0, 1 << 60)), "",
    ),
    Attack("a.pt", "a pickle that runs code", pickled, "", "torch"),
    Attack("a.pt", "an old pickle that runs code", lambda: pickle.dumps({"w": _Code()}), "", "torch"),
    Attack("a.h5", "a link to a file outside", lambda: hdf5(_external_link), "", "h5py"),
    Attack("a.h5", "a dataset whose bytes are in another file", lambda: hdf5(_external_data), "", "h5py"),
    Attack("a.h5", "a dataset of 2^60 elements without bytes", lambda: hdf5(_hollow), "", "h5py"),
    Attack("a.onnx", "external data outside of the folder", lambda: onnx_external("../../etc/passwd"), "", "onnx"),
    Attack("a.onnx", "external data by an absolute path", lambda: onnx_external("/etc/passwd"), "", "onnx"),
    Attack("a.onnx", "a tensor of 2^62 elements", onnx_large, "", "onnx"),
    Attack(
        "a.tflite", "offsets that point outside",
        lambda: struct.pack("<I4sI", 1 << 30, b"TFL3", 1 << 31), "", "tflite",
    ),
    Attack(
        "a.mlmodel", "a length beyond the file",
        lambda: b"\x08\x05\x12\xff\xff\xff\xff\x0f" + bytes(9), "", "coremltools",
    ),
    Attack("a.safetensors.index.json", "a shard outside of the folder",
           lambda: json.dumps({"weight_map": {"w": "../../etc/passwd"}}).encode(), "weight_map"),
    Attack("a.safetensors.index.json", "an index that names itself",
           lambda: json.dumps({"weight_map": {"w": "a.safetensors.index.json"}}).encode(), ""),
    Attack("a.safetensors.index.json", "lists nested 100,000 deep", lambda: b"[" * 100_000, ""),
    Attack("a.dcz.index.json", "a shard by an absolute path",
           lambda: json.dumps({"weight_map": {"w": "/etc/passwd"}}).encode(), "weight_map"),
)  # fmt: skip
BUILDERS = (safetensors_file, bitmask_file, gguf_file, net_file, index_file, dcz_file)


def _external_link(file: object) -> None:
    import h5py

    file["w"] = h5py.ExternalLink("/etc/passwd", "/w")  # type: ignore[index]


def _external_data(file: object) -> None:
    file.create_dataset("w", (4,), "u1", external=[("/etc/passwd", 0, 4)])  # type: ignore[attr-defined]


def _hollow(file: object) -> None:
    file.create_dataset("w", (1 << 60,), "u1", chunks=(1 << 20,))  # type: ignore[attr-defined]


def run(full: bool, scale: float, seed: int) -> Result:
    """The campaign."""
    result = Result({"seed": seed})
    count = max(1, int((FULL if full else SHORT) * scale))
    with tempfile.TemporaryDirectory() as name:
        for number, attack in enumerate(ATTACKS):
            if attack.needs and (not full or find_spec(attack.needs) is None):
                continue
            folder = Path(name) / str(number)
            folder.mkdir()
            path = folder / attack.name
            path.write_bytes(attack.make())
            result.count("attacks")
            try:
                answer = isolated(_read, path)
            except Crashed as error:
                result.fault(f"{attack.name}, {attack.about}: {error}")
                continue
            if answer is None:
                result.fault(f"{attack.name}, {attack.about}: is read")
            elif attack.answer not in answer or str(path) not in answer or "\n" in answer:
                result.fault(f"{attack.name}, {attack.about}: the answer is {answer!r:.300}")
        for number, build in enumerate(BUILDERS):
            folder = Path(name) / f"built{number}"
            folder.mkdir()
            try:
                counts, faults = isolated(_changed, build, folder, count, seed)
            except Crashed as error:
                counts, faults = {}, [f"{build.__name__}, seed {seed}: {error}"]
            for what, value in counts.items():
                result.count(what, value)
            result.faults += faults
    if os.path.exists(os.path.join(tempfile.gettempdir(), "dcz-campaign-ran-code")):
        result.fault("code of a pickle ran")
    return result


def _limit() -> None:
    with open("/proc/self/statm") as file:
        limit = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _read(path: Path) -> str | None:
    """The refusal, or None where everything is read."""
    _import(path)
    _limit()
    try:
        with open_model(path, shapes=path.with_suffix(".prototxt") if path.suffix == ".net" else None) as model:
            for each in model.tensors():
                model.read(each.name)
            left_out = getattr(model, "left_out", {})
    except (dcz.DczError, OSError) as error:
        return str(error)
    return f"{path}: leaves out {dict(left_out)}" if left_out else None


def _import(path: Path) -> None:
    """Large libraries, before memory is bounded."""
    for library in {".pt": ("torch",), ".h5": ("h5py",), ".onnx": ("onnx",), ".mlmodel": ("coremltools",)}.get(
        path.suffix, ()
    ):
        __import__(library)


def _changed(build: Callable[[Path], Path], folder: Path, count: int, seed: int) -> tuple[dict[str, int], list[str]]:
    """A format's file with a few bytes changed, cut or doubled: refused in a line, or read."""
    path = build(folder)
    data, rng, result = path.read_bytes(), random.Random(f"{build.__name__} {seed}"), Result()
    for number in range(count):
        path.write_bytes(mutated(data, rng))
        result.count("changed files")
        try:
            answer = _read_again(path)
            result.count("of these read" if answer is None else "of these refused")
            if answer is not None and "\n" in answer:
                result.fault(
                    f"{build.__name__}, case {number} of seed {seed}: an answer of several lines {answer!r:.200}"
                )
        except Exception as error:
            result.fault(f"{build.__name__}, case {number} of seed {seed}: {type(error).__name__}: {error}")
    return {key: int(value) for key, value in result.figures.items()}, result.faults  # type: ignore[call-overload]


def _read_again(path: Path) -> str | None:
    shapes = path.with_suffix(".prototxt") if path.suffix == ".net" else None
    try:
        with open_model(path, shapes=shapes, max_bytes=1 << 24) as model:
            for each in model.tensors():
                model.read(each.name)
    except (dcz.DczError, OSError) as error:
        return str(error)
    return None
