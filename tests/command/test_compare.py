"""compare and inspect --html: what they print, what they write, and what they refuse."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import dcz
from dcz.cli import tables
from dcz.report.storage import KEYS, TITLES
from support.arrays import make_array

TENSORS = {
    "conv.weight": make_array(1, "F32", (32, 40, 3, 3), 0.3, 31, "float"),
    "fc.weight": make_array(2, "F32", (300, 400), 0.05, 15, "float"),
    "fc.bias": make_array(3, "F32", (300,), 1.0, 300, "float"),
    "n" * 1000: np.full((30, 40), np.nan, "<f4"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model in it, and the place to be."""
    monkeypatch.chdir(tmp_path)
    save_file(TENSORS, "model.safetensors")
    dcz.save_file(TENSORS, "model.dcz")
    return tmp_path


def test_tables(folder: Path, dcz_: Callable) -> None:
    run = dcz_("compare", "model.safetensors", "--show", "all")
    assert (run.code, run.err) == (0, "")
    report = dcz.compare(TENSORS)
    lines = [line.rstrip() for line in run.out.splitlines()]
    for key, title in TITLES.items():
        assert any(line.startswith(title) and f" {report.total(key).total:,} " in line for line in lines), key
    row = next(line.split() for line in lines if line.startswith("fc.weight") and "below" in line)
    tensor = report["fc.weight"]
    assert row[1] == f"{100 * tensor.density:.1f}%" and row[5] == f"{tensor.bits_per_weight:.2f}"
    assert tensor.reason in run.out and "Stages of the paper" in run.out
    assert f"({report.total('auto').total} bytes)" in lines[-1]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("view", tables.VIEWS)
def test_tables_fit(view: str, width: int) -> None:
    lines = tables.VIEWS[view](dcz.compare(TENSORS), None).render(width).splitlines()
    assert max(map(len, lines)) <= width


def test_json(folder: Path, dcz_: Callable) -> None:
    document = json.loads(dcz_("compare", "model.dcz", "--json").out)
    report = dcz.compare(TENSORS)
    assert [t["name"] for t in document["tensors"]] == sorted(TENSORS)
    for key in KEYS:
        assert document["layouts"][key]["bytes"] == report.total(key).total
        parts = [document["layouts"][key][part] for part in ("positions", "indices", "codebooks", "dense")]
        assert sum(parts) == document["layouts"][key]["bytes"]
    assert document["profiles"]["auto"] == sum(dcz.open("model.dcz").info(name).stored for name in TENSORS)
    assert document["stages"]["P+Q+H"]["size"] == report.stages()["P+Q+H"].size


def test_csv_and_markdown(folder: Path, dcz_: Callable) -> None:
    rows = list(csv.DictReader(io.StringIO(dcz_("compare", "model.dcz", "--csv", "--sort", "bytes").out)))
    sizes = [int(row["auto"]) for row in rows]
    assert len(rows) == len(TENSORS) and sizes == sorted(sizes, reverse=True)
    assert {row["tensor"]: int(row["dense"]) for row in rows} == {name: array.nbytes for name, array in TENSORS.items()}
    text = dcz_("compare", "model.dcz", "--markdown", "--filter", "fc.*").out
    assert text.startswith("| layout | bytes |") and "| `fc.weight` | " in text and "conv.weight" not in text
    assert all(line.startswith("|") or not line for line in text.splitlines())


def test_sort_filter_and_top(folder: Path, dcz_: Callable) -> None:
    run = dcz_("compare", "model.dcz", "--json", "--sort", "density", "--top", "2", "--filter", "*c*")
    assert [t["name"] for t in json.loads(run.out)["tensors"]] == ["fc.bias", "conv.weight"]


def test_several_files_are_one_model(folder: Path, dcz_: Callable) -> None:
    document = json.loads(dcz_("compare", "model.dcz", "model.safetensors", "--json").out)
    assert len(document["tensors"]) == 2 * len(TENSORS)
    assert document["tensors"][0]["name"].startswith("model.dcz:")
    assert document["layouts"]["dense"]["bytes"] == 2 * sum(array.nbytes for array in TENSORS.values())


def test_a_model_without_tensors(folder: Path, dcz_: Callable) -> None:
    dcz.save_file({}, "none.dcz")
    for options in ((), ("--show", "all"), ("--json",), ("--csv",), ("--markdown",)):
        assert dcz_("compare", "none.dcz", *options).code == 0
    assert dcz.compare({})._repr_html_()


def test_page_and_figure(folder: Path, dcz_: Callable) -> None:
    pytest.importorskip("vl_convert", reason="pages need the plot extra")
    pytest.importorskip("matplotlib", reason="figures need the plot extra")
    run = dcz_("compare", "model.dcz", "--html", "r.html", "--png", "r.png", "--quiet")
    assert (run.code, run.out, run.err) == (0, "", "")
    assert Path("r.html").read_text().startswith("<!doctype html>") and Path("r.png").read_bytes()[:4] == b"\x89PNG"
    assert dcz_("compare", "model.dcz", "--png", "r.pdf").code == 0 and Path("r.pdf").read_bytes()[:4] == b"%PDF"
    for name in ("r.html", "r.png"):
        before = Path(name).read_bytes()
        run = dcz_("compare", "model.dcz", f"--{name[2:]}", name)
        assert run.code == 1 and run.err == f"dcz: {name}: already exists; use --force to replace it\n"
        assert Path(name).read_bytes() == before
    assert dcz_("compare", "model.dcz", "--html", "r.html", "--force").code == 0
    assert dcz_("inspect", "model.dcz", "--html", "i.html", "-q").code == 0 and Path("i.html").stat().st_size > 500_000
    run = dcz_("compare", "model.dcz", "--png", "r.bmp")
    assert run.code == 2 and "r.bmp: the name of a figure ends in one of .png, .pdf, .svg" in run.err


@pytest.mark.parametrize(
    ("module", "option", "named"), [("vl_convert", "--html", "r.html"), ("matplotlib", "--png", "r.png")]
)
def test_a_missing_library(
    folder: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch, module: str, option: str, named: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    run = dcz_("compare", "model.dcz", option, named)
    assert run.code == 1 and run.err.count("\n") == 1 and "pip install 'dcz[plot]'" in run.err
    assert not Path(named).exists()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["missing.dcz"], 1, "missing.dcz: No such file"),
        (["bad.dcz"], 1, ""),
        (["notes.txt"], 1, "reading a file with the extension .txt is not supported"),
        (["model.dcz", "--filter", "zzz*"], 1, "model.dcz: filter: 'zzz*' matches none of the 4 tensors"),
        (["model.dcz", "--sort", "size"], 2, "expected one of name, bytes"),
        (["model.dcz", "--show", "pie"], 2, "expected one of layouts, tensors"),
        (["model.dcz", "--json", "--csv"], 2, "exclude each other"),
        (["model.dcz", "--top", "0"], 2, "--top"),
        (["model.dcz", "--shapes", "x.prototxt"], 2, "--shapes: is for .net files"),
        (["model.dcz", "--html", "no/such/r.html"], 1, "does not exist; create it first"),
        ([], 2, "FILE"),
    ],
)
def test_refusals(folder: Path, dcz_: Callable, arguments: list[str], code: int, told: str) -> None:
    Path("bad.dcz").write_bytes(b"no such thing")
    Path("notes.txt").write_text("hello")
    run = dcz_("compare", *arguments)
    assert run.code == code and run.out == "" and "Traceback" not in run.err
    assert told in run.err and run.err.startswith("dcz: ") and run.err.count("\n") == 1


def test_colour_and_completion(folder: Path) -> None:
    """NO_COLOR on a terminal, and the shell's completion, as a shell asks for them."""
    program = [sys.executable, "-m", "dcz"]
    plain = {**os.environ, "NO_COLOR": "1", "TERM": "xterm"}
    run = subprocess.run([*program, "compare", "model.dcz"], capture_output=True, text=True, env=plain, check=True)
    assert "\x1b[3" not in run.stdout
    for shell in ("bash", "zsh", "fish"):
        asked = {**os.environ, "_DCZ_COMPLETE": f"source_{shell}"}
        run = subprocess.run([*program[:1], "-c", "import sys; sys.argv=['dcz']; import dcz.cli; dcz.cli.main()"],
                             capture_output=True, text=True, env=asked)  # fmt: skip
        assert "_DCZ_COMPLETE" in run.stdout, run.stderr
    asked = {**os.environ, "_DCZ_COMPLETE": "complete_bash", "COMP_WORDS": "dcz comp", "COMP_CWORD": "1"}
    run = subprocess.run([*program[:1], "-c", "import sys; sys.argv=['dcz']; import dcz.cli; dcz.cli.main()"],
                         capture_output=True, text=True, env=asked)  # fmt: skip
    assert run.stdout.split() == ["compare", "completion"]


def test_every_verb_has_help_with_an_example(dcz_: Callable) -> None:
    for verb in ("pack", "unpack", "inspect", "verify", "compare"):
        assert f"Example: dcz {verb} " in " ".join(dcz_(verb, "--help").out.split())


def test_notebooks(folder: Path) -> None:
    with dcz.open("model.dcz") as reader:
        text = reader._repr_html_()
        assert "conv.weight" in text and "<script" not in text and f"{reader.info('conv.weight').stored:,}" in text
    text = dcz.compare({"<b>": TENSORS["fc.weight"]})._repr_html_()
    assert "&lt;b&gt;" in text and "<b>" not in text and "<noscript" not in text
