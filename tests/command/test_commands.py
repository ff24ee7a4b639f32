"""pack, unpack, inspect and verify: what they do, what they print, and nothing more when piped."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import dcz
from dcz import kernels
from dcz.tensor import PROFILES
from support.arrays import make_array
from support.bits import assert_same_bits
from support.net import PROTOTXT, SHAPES, encode

TENSORS = {
    "conv.weight": make_array(1, "F32", (20, 30), 0.2, 9, "float"),
    "conv.bias": make_array(2, "F32", (20,), 1.0, 20),
    "steps": make_array(3, "I64", (), 1.0, 5),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model in it, and the place to be."""
    monkeypatch.chdir(tmp_path)
    save_file(TENSORS, "model.safetensors", metadata={"format": "np"})
    return tmp_path


def test_there_and_back(folder: Path, dcz_: Callable) -> None:
    packed = dcz_("pack", "model.safetensors", "model.dcz")
    size = os.path.getsize("model.dcz")
    assert (packed.code, packed.err) == (0, "")
    assert re.fullmatch(
        rf"model.dcz: 3 tensors, {size} bytes, [0-9.]+ times smaller than their 2.49 kB; "
        r"model.safetensors has .*\n",
        packed.out,
    )
    for name in ("back.safetensors", "back.npz"):
        unpacked = dcz_("unpack", "model.dcz", "-o", name)
        assert (unpacked.code, unpacked.err) == (0, "") and unpacked.out.startswith(f"{name}: 3 tensors, ")
    found = load_file("back.safetensors")
    with np.load("back.npz") as archive:
        for name, array in TENSORS.items():
            assert_same_bits(found[name], array)
            assert_same_bits(archive[name], array)


def test_verify(folder: Path, dcz_: Callable) -> None:
    dcz_("pack", "model.safetensors", "model.dcz")
    run = dcz_("verify", "model.dcz")
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("model.dcz: whole; 3 tensors in 3 chunks, ")


def test_inspect(folder: Path, dcz_: Callable) -> None:
    dcz_("pack", "model.safetensors", "model.dcz")
    run = dcz_("inspect", "model.dcz")
    assert (run.code, run.err) == (0, "")
    lines = {line.split()[0]: line.split() for line in run.out.splitlines() if line.split()}
    info = dcz.open("model.dcz").info("conv.weight")
    row = lines["conv.weight"]
    assert row[1:3] == ["20x30", "F32"]
    assert row[3] == f"{100 * info.nonzeros / 600:.1f}%" and row[4] == str(info.layout.codebook.entries)
    assert f"{8 * info.stored / 600:.2f}" in row
    assert lines["steps"][1] == "scalar"
    assert f"3 tensors, {os.path.getsize('model.dcz')} bytes, " in run.out
    assert "entropy coding saves" in run.out


def test_inspect_shows_metadata(folder: Path, dcz_: Callable) -> None:
    about = {"a": {"role": "scale\x1b[31m", "long": "x" * 300}}
    dcz.save_file({"a": np.ones(3), "b": np.zeros(3)}, "m.dcz", metadata={"step": 3}, tensor_metadata=about)
    assert "metadata step: 3\n" in dcz_("inspect", "m.dcz").out
    lines = dcz_("inspect", "m.dcz", "--verbose").out.splitlines()
    assert "metadata step: 3" in lines and "\x1b" not in "".join(lines)
    assert any(line.startswith("metadata of a: role: 'scale") for line in lines)
    assert f"metadata of a: long: '{'x' * 196}..." in lines
    found = {each["name"]: each["metadata"] for each in json.loads(dcz_("inspect", "m.dcz", "--json").out)["tensors"]}
    assert found == {**about, "b": {}}


def test_inspect_as_json(folder: Path, dcz_: Callable) -> None:
    dcz_("pack", "model.safetensors", "model.dcz")
    document = json.loads(dcz_("inspect", "model.dcz", "--json").out)
    assert document["file_bytes"] == os.path.getsize("model.dcz")
    assert document["dense_bytes"] == sum(array.nbytes for array in TENSORS.values())
    assert document["metadata"] == {"format": "np"}
    assert document["stored_bytes"] + document["overhead_bytes"] == document["file_bytes"]
    assert [t["name"] for t in document["tensors"]] == sorted(TENSORS)
    for tensor in document["tensors"]:
        array = TENSORS[tensor["name"]]
        assert tensor["dense"] == array.nbytes and tuple(tensor["shape"]) == array.shape
        assert tensor["positions"] + tensor["indices"] + tensor["codebook"] == tensor["stored"]
        assert tensor["bits_per_weight"] == 8 * tensor["stored"] / array.size
        assert tensor["saved_by_coding"] == 1 - tensor["stored"] / tensor["fixed_width"]
    weight = document["tensors"][1]
    nonzeros = np.count_nonzero(TENSORS["conv.weight"])
    assert weight["density"] == nonzeros / 600
    if weight["layout"].startswith("bitmap"):  # a bit a weight, four a nonzero, and nine or fewer floats
        bits = (weight["clusters"] - 1).bit_length()
        assert weight["fixed_width"] == -(-(600 + nonzeros * bits) // 8) + 4 * weight["clusters"]


def test_json_of_the_others(folder: Path, dcz_: Callable) -> None:
    packed = json.loads(dcz_("pack", "model.safetensors", "model.dcz", "--json").out)
    assert packed["tensors"] == 3 and packed["file_bytes"] == os.path.getsize("model.dcz")
    assert packed["dense_bytes"] == sum(array.nbytes for array in TENSORS.values())
    assert packed["source_bytes"] == os.path.getsize("model.safetensors")
    unpacked = json.loads(dcz_("unpack", "model.dcz", "-o", "b.npz", "--json").out)
    assert unpacked["tensors"] == 3 and unpacked["file_bytes"] == os.path.getsize("b.npz")
    verified = json.loads(dcz_("verify", "model.dcz", "--json").out)
    assert verified["ok"] is True and verified["tensors"] == 3 and verified["stored"] == os.path.getsize("model.dcz")


def test_json_of_odd_files(folder: Path, dcz_: Callable) -> None:
    """No tensors, no bytes, no finite ratio, metadata that JSON lacks: still one JSON document."""
    array = np.arange(3)
    metadata = {"nan": float("nan"), "inf": [float("inf")], "bytes": b"\x00\xff", "ü": 1}
    dcz.save_file(
        {"empty": np.zeros((0, 3)), "zeros": np.zeros(4096, "<f4"), "a": array, "b": array}, "o.dcz", metadata=metadata
    )
    dcz.save_file({}, "none.dcz")
    for name in ("o.dcz", "none.dcz"):
        for verb in ("inspect", "verify"):
            run = dcz_(verb, name, "--json")
            assert (run.code, run.err) == (0, "")
            document = json.loads(run.out, parse_constant=lambda constant: pytest.fail(constant))
        assert dcz_("inspect", name).code == 0
    document = json.loads(dcz_("inspect", "o.dcz", "--json").out)
    assert document["metadata"] == {"nan": None, "inf": [None], "bytes": "00ff", "ü": 1}
    by_name = {tensor["name"]: tensor for tensor in document["tensors"]}
    assert by_name["b"]["alias_of"] == "a" and by_name["empty"]["bits_per_weight"] == 0


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles(folder: Path, dcz_: Callable, profile: str) -> None:
    assert dcz_("pack", "model.safetensors", "p.dcz", "--profile", profile, "--threads", 2).code == 0
    assert Path("p.dcz").read_bytes() == dcz.save(TENSORS, metadata={"format": "np"}, profile=profile)


def test_quiet_and_force(folder: Path, dcz_: Callable) -> None:
    for verb in (
        ("pack", "model.safetensors", "q.dcz", "-q"),
        ("pack", "model.safetensors", "q.dcz", "--quiet", "--force"),
        ("verify", "q.dcz", "-q"),
        ("unpack", "q.dcz", "-o", "q.npz", "-q"),
        ("unpack", "q.dcz", "--output", "q.npz", "-q", "-f"),
    ):
        run = dcz_(*verb)
        assert (run.code, run.out, run.err) == (0, "", ""), verb


def test_net_files(folder: Path, dcz_: Callable) -> None:
    data, tensors = encode(SHAPES)
    Path("tiny.net").write_bytes(data)
    Path("tiny.prototxt").write_text(PROTOTXT)
    run = dcz_("pack", "tiny.net", "tiny.dcz", "--shapes", "tiny.prototxt")
    assert (run.code, run.err) == (0, "")
    assert dcz_("unpack", "tiny.dcz", "-o", "tiny.safetensors").code == 0
    found = load_file("tiny.safetensors")
    for name, array in tensors.items():
        assert_same_bits(found[name], array)


def test_packing_a_packed_file_again(folder: Path, dcz_: Callable) -> None:
    dcz_("pack", "model.safetensors", "a.dcz", "--profile", "raw")
    assert dcz_("pack", "a.dcz", "a.dcz", "--force").code == 0
    assert Path("a.dcz").read_bytes() == dcz.save(TENSORS, metadata={"format": "np"})


def test_version(dcz_: Callable) -> None:
    run = dcz_("--version")
    assert run.out == f"dcz {dcz.__version__}, format version 1, kernels {kernels.active().name}\n"
    assert (run.code, run.err) == (0, "")


@pytest.mark.parametrize("verb", ["pack", "plan", "unpack", "inspect", "verify", "diff"])
def test_help_has_an_example(dcz_: Callable, verb: str) -> None:
    run = dcz_(verb, "--help")
    assert run.code == 0 and f"Example: dcz {verb} model" in run.out
    assert verb in dcz_("--help").out


def test_help_is_shown_when_nothing_is_asked(dcz_: Callable) -> None:
    run = dcz_()
    assert run.code == 2 and run.out == "" and "Usage:" in run.err


def test_hostile_names_are_shown_as_text(folder: Path, dcz_: Callable) -> None:
    names = ["a[/b]", "[red]x", "esc\x1b[31m", "two\nlines", "\x07", "emoji \U0001f642", "\\[x]"]
    dcz.save_file({name: np.arange(3) for name in names}, "h.dcz", metadata={"\x1b[31m": 1})
    for arguments in (("inspect", "h.dcz"), ("verify", "h.dcz"), ("inspect", "h.dcz", "--json")):
        run = dcz_(*arguments)
        assert (run.code, run.err) == (0, "") and "\x1b" not in run.out and "\x07" not in run.out
    table = dcz_("inspect", "h.dcz").out
    for text in ("a[/b]", "[red]x", "esc\\x1b[31m", "two\\nlines", "\\x07", "emoji \U0001f642", "\\[x]"):
        assert text in table


@pytest.mark.parametrize(
    "arguments", [("inspect", "model.dcz"), ("verify", "model.dcz"), ("--help",), ("pack", "--help")]
)
def test_piped_output_is_plain(folder: Path, arguments: tuple[str, ...]) -> None:
    """As another program sees it, even where the terminal would have colours."""
    dcz.save_file(TENSORS, "model.dcz")
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONWARNINGS": "error"}
    run = subprocess.run([sys.executable, "-m", "dcz", *arguments], capture_output=True, env=environment)
    assert (run.returncode, run.stderr) == (0, b"")
    assert b"\x1b" not in run.stdout and b"\r" not in run.stdout and run.stdout


def test_progress_and_colour_on_a_terminal(folder: Path) -> None:
    """Standard error is a terminal, standard output is not: a bar there, plain text here."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "dcz", "pack", "model.safetensors", "model.dcz"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=child, env=environment)
    os.close(child)
    shown = os.read(parent, 1 << 16)
    os.close(parent)
    assert run.returncode == 0 and b"\x1b" not in run.stdout and run.stdout.startswith(b"model.dcz: 3 tensors")
    assert b"packing" in shown and b"\x1b[" in shown


def test_output_in_ascii(folder: Path) -> None:
    dcz.save_file(TENSORS, "model.dcz")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    run = subprocess.run([sys.executable, "-m", "dcz", "inspect", "model.dcz"], capture_output=True, env=environment)
    assert (run.returncode, run.stderr) == (0, b"") and b"conv.weight" in run.stdout


def test_a_reader_that_leaves(folder: Path) -> None:
    dcz.save_file(TENSORS, "model.dcz")
    read, write = os.pipe()
    os.close(read)
    for arguments in (("inspect", "model.dcz"), ("verify", "model.dcz", "--json")):
        run = subprocess.run([sys.executable, "-m", "dcz", *arguments], stdout=write, stderr=subprocess.PIPE)
        assert (run.returncode, run.stderr) == (1, b"")
    os.close(write)


def test_the_installed_command(folder: Path) -> None:
    command = Path(sys.executable).with_name("dcz")
    if not command.exists():
        pytest.skip("dcz was not installed beside this Python")
    run = subprocess.run([command, "pack", "model.safetensors", "i.dcz"], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "") and run.stdout.startswith("i.dcz: 3 tensors")
