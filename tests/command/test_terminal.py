"""Tables on terminals of any width: golden text that a person has read, and real pseudo-terminals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.cli import diff, inspect, plan
from dcz.cli.columns import ROWS, Table
from dcz.container.summary import StoredFile, StoredTensor
from dcz.convert.difference import Difference
from dcz.planning import Planned, PlannedTensor
from support.terminal import on_terminal

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (40, 60, 80, 120, 200)
BLOCKS = (
    ("self_attn.q_proj.weight", (4096, 4096)),
    ("mlp.gate_proj.weight", (11008, 4096)),
    ("input_layernorm.weight", (4096,)),
)


def stored(layer: int, name: str, shape: tuple[int, ...]) -> StoredTensor:
    count = int(np.prod(shape))
    if len(shape) == 1:
        return StoredTensor(
            f"model.layers.{layer}.{name}", "BF16", shape, count, 1.0, "byte planes + Huffman", "huffman+raw", None, 1,
            2 * count, count + 700 + layer, 0, count + 700 + layer, 0, 2 * count,
        )  # fmt: skip
    size = count // 9 + layer
    return StoredTensor(
        f"model.layers.{layer}.{name}", "BF16", shape, count, 0.1 + layer / 100, "CSR, 8-bit gaps + Huffman", "huffman",
        31, 64, 2 * count, size, size // 2, size - size // 2 - 80, 80, count // 7,
    )  # fmt: skip


def a_file(layers: int) -> StoredFile:
    tensors = [stored(layer, *block) for layer in range(layers) for block in BLOCKS]
    tied = tensors[1]
    tensors.append(replace(tied, name="lm_head.weight", alias_of=tied.name))
    return StoredFile(tuple(tensors), 10**9, {})


def a_plan(layers: int) -> Planned:
    tensors = [
        PlannedTensor(
            f"model.layers.{layer}.{name}", shape, 0.13, 4 if layer % 2 else None, 15,
            int(np.prod(shape)) // 12, 2 * int(np.prod(shape)), 0.08 + layer / 1000, None,
            None if layer % 2 else 0.3175,
        )
        if len(shape) > 1
        else PlannedTensor(
            f"model.layers.{layer}.{name}", shape, None, None, None, 5000, 8192, 0.0, "1-dimensional tensors are biases"
        )
        for layer in range(layers)
        for name, shape in BLOCKS
    ]  # fmt: skip
    return Planned({}, tuple(tensors), 10**6, 10**8)


def differences(layers: int) -> list[Difference]:
    found = [
        Difference(
            f"model.layers.{layer}.{name}", "values", shape, shape, "F32", "BF16", 12 + layer, 0.25, 0.001, 0.999
        )
        for layer in range(layers)
        for name, shape in BLOCKS
    ]  # fmt: skip
    found.append(
        Difference("lm_head.weight", "shape", (32000, 4096), (32001, 4096), "F32", "F32", None, None, None, None)
    )
    found.append(Difference("lm_head.bias", "only in A", (32000,), None, "F32", None, None, None, None, None))
    return found


TABLES: dict[str, Callable[[int], Table]] = {
    "inspect": lambda layers: inspect.table(a_file(layers), ROWS),
    "plan": lambda layers: plan.table(a_plan(layers), ROWS),
    "diff": lambda layers: diff.table(differences(layers), ROWS),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_golden_tables(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are never made by this test: whoever changes a table reads what comes out and replaces them."""
    monkeypatch.setattr("dcz.cli.streams.can_show", lambda text: True)
    shown = TABLES[name](2).render(width) + "\n\n" + TABLES[name](12).render(width) + "\n"
    assert shown == (GOLDEN / f"{name}-{width}.txt").read_text(encoding="utf-8")
    assert max(map(len, shown.splitlines())) <= width


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 24 tensors and one that differs from it."""
    folder = tmp_path_factory.mktemp("model")
    rng = np.random.Generator(np.random.PCG64(5))
    tensors = {
        f"model.layers.{layer}.{name}": rng.integers(1, 16, (40, 60)).astype("<f4") * (rng.random((40, 60)) < 0.1)
        for layer in range(12)
        for name in ("self_attn.q_proj.weight", "mlp.gate_proj.weight")
    }
    dcz.save_file(tensors, folder / "a.dcz")
    dcz.save_file({name: array + 1 for name, array in tensors.items()}, folder / "b.dcz")
    return folder


COMMANDS = {
    "inspect": ("inspect", "a.dcz"),
    "compare": ("compare", "a.dcz", "--show", "tensors"),
    "diff": ("diff", "a.dcz", "a.dcz", "--all"),
    "plan": ("plan", "a.dcz", "--target-ratio", "40", "--n-bits", "2,3", "--densities", "1,0.05"),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verb", COMMANDS)
def test_a_terminal(model: Path, verb: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person sees, which a person has read; every line fits, but for a command, and names stay names."""
    monkeypatch.chdir(model)
    shown = on_terminal(*COMMANDS[verb], columns=width)
    assert shown == (GOLDEN / f"terminal-{verb}-{width}.txt").read_text(encoding="utf-8")
    lines = shown.splitlines()
    assert max(len(line) for line in lines if ": dcz " not in line) <= width
    rows = [line for line in lines if line.startswith(("model.l", "m.l"))]
    assert len(rows) >= (24 if verb == "diff" else 20)
    assert len({row.split()[0] for row in rows}) == (24 if verb == "diff" else 20)
    if verb != "diff":
        assert any("and 4 smaller tensors" in line for line in lines)


@pytest.mark.parametrize("verb", ["inspect", "compare", "plan"])
def test_all_and_wide(model: Path, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    lines = on_terminal(*COMMANDS[verb], "--all", "--wide", columns=40).splitlines()
    assert not any("--all" in line or "--wide" in line for line in lines)
    assert {line.split()[0] for line in lines if line.startswith("model.layers")} == set(dcz.load_file("a.dcz"))


def test_columns_are_chosen(model: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    lines = on_terminal("inspect", "a.dcz", "--columns", "stored, Layout", columns=40).splitlines()
    assert lines[0].split() == ["tensor", "stored", "layout"] and "model.layers.0.self_attn.q_proj.weight" in lines[2]
    run = dcz_("inspect", "a.dcz", "--columns", "size")
    assert run.code == 2 and "--columns: 'size' is unknown; expected some of tensor, shape, dtype" in run.err


def test_metadata_are_shown(tmp_path: Path, dcz_: Callable) -> None:
    few, many = {"author": "me", "step": 3}, {f"key {i}": i for i in range(9)}
    dcz.save_file({"w": np.zeros(9)}, tmp_path / "few.dcz", metadata=few)
    dcz.save_file({"w": np.zeros(9)}, tmp_path / "many.dcz", metadata=many)
    assert "metadata author: 'me'\nmetadata step: 3\n" in dcz_("inspect", tmp_path / "few.dcz").out
    cut = dcz_("inspect", tmp_path / "many.dcz").out
    assert cut.count("metadata key ") == 5 and "and 4 more entries of metadata; --verbose shows them" in cut
    assert dcz_("inspect", tmp_path / "many.dcz", "--verbose").out.count("metadata key ") == 9


def test_the_format_s_own_words_are_for_verbose(model: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    assert "relative8 x codebook (huffman" in dcz_("inspect", "a.dcz", "--verbose").out
    for command in (*COMMANDS.values(), ("compare", "a.dcz", "--show", "all"), ("compare", "a.dcz", "--json")):
        out = dcz_(*command).out
        assert " x codebook" not in out and "relative8" not in out, command


def test_what_is_piped_is_whole(model: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    run = dcz_("inspect", "a.dcz")
    assert all(name in run.out for name in dcz.load_file("a.dcz")) and "--wide" not in run.out


def test_bars_have_colours_where_the_terminal_has(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    command = ("compare", "a.dcz", "--show", "bars")
    assert "\x1b[36m\u2588" in on_terminal(*command, columns=80, NO_COLOR="")
    assert "\x1b" not in on_terminal(*command, columns=80)
    assert "\x1b" not in on_terminal(*command, columns=80, NO_COLOR="", TERM="dumb")
    assert "\x1b" not in on_terminal(*command, columns=80, NO_COLOR="", PYTHONIOENCODING="ascii")


@pytest.mark.parametrize("arguments", [("-h",), ("pack", "-h"), ("diff", "-h")])
def test_short_help(dcz_: Callable, arguments: tuple[str, ...]) -> None:
    run = dcz_(*arguments)
    assert (run.code, run.err) == (0, "") and run.out.startswith("Usage: dcz")
    assert run.out == dcz_(*arguments[:-1], "--help").out
