"""Every command and every kind of fault: exit code 1 or 2 as documented, one line that begins with the file or the
option at fault, nothing on standard output, no file changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from dcz.cli.app import app
from support.faulty_files import contents, folder, made

__all__ = ["folder", "made"]

# Arguments, and how the line begins. Faults of the files: exit code 1, and 2 for diff.
OF_FILES = {
    "pack": {
        "missing.npz n.dcz": "missing.npz: No such file",
        "text.npz n.dcz": "text.npz: not an npz archive",
        "flipped.dcz n.dcz": "flipped.dcz: tensor 'w', chunk 0: the stored bytes do not match",
        "short.dcz n.dcz": "short.dcz: trailer: ",
        "text.dcz n.dcz": "text.dcz: magic: this is not a dcz file",
        "folder n.dcz": "folder: no weights in it",
        "gone.dcz.index.json n.dcz": "gone.dcz.index.json: 'x.dcz' is missing, of 1 file; finish the download",
        "a.npz old.dcz": "old.dcz: already exists; use --force",
        "a.npz no/n.dcz": "no/n.dcz: the folder ",
        "a.npz n.dcz --recipe missing.toml": "missing.toml: No such file",
        "a.npz n.dcz --recipe odd.toml": "odd.toml: recipe: unknown key 'n_bitz'; did you mean n_bits?",
        "a.npz n.dcz --base missing.npz": "missing.npz: the base is not there",
        "a.npz n.dcz --base text.npz": "text.npz: not an npz archive",
        "a.npz n.dcz --max-bytes 5": "a.npz: tensor 'w': decoding needs 12000 bytes; the limit is 5",
        "http://127.0.0.1:9/x.dcz n.dcz": "http://127.0.0.1:9/x.dcz: ",
    },
    "unpack": {
        "missing.dcz n.npz": "missing.dcz: No such file",
        "flipped.dcz n.npz": "flipped.dcz: tensor 'w', chunk 0: the stored bytes do not match",
        "short.dcz n.npz": "short.dcz: trailer: ",
        "empty.dcz n.npz": "empty.dcz: the file is empty",
        "ab.dcz n.npz": "ab.dcz: tensor 'w' is stored as the difference to 'w' of a base",
        "a.dcz old.npz": "old.npz: already exists; use --force",
        "a.dcz no/n.npz": "no/n.npz: the folder ",
        "a.dcz n.npz --max-bytes 5": "a.dcz: tensor 'w': decoding needs 12000 bytes; the limit is 5",
    },
    "inspect": {
        "missing.dcz": "missing.dcz: No such file",
        "text.dcz": "text.dcz: magic: this is not a dcz file",
        "a.npz": "a.npz: magic: this is not a dcz file, but a zip archive",
        "short.dcz": "short.dcz: trailer: ",
        "folder": "folder: Is a folder with no .dcz",
        "flipped.dcz --html n.html": "flipped.dcz: tensor 'w', chunk 0: the stored bytes do not match",
        "a.dcz --html old.npz": "old.npz: already exists; use --force",
        "a.dcz --html no/n.html": "no/n.html: the folder ",
        "a.dcz --base a.npz": "a.dcz: is a whole model; --base is for files of differences",
        "ab.dcz --html n.html": "ab.dcz: --html shows whole models; apply the differences first",
        "ab.dcz --base missing.npz": "missing.npz: the base is not there; ab.dcz wants a.npz",
        "ab.dcz --base c.npz": "ab.dcz: tensor 'w', chunk 0: the base's words have the CRC-32C",
    },
    "compare": {
        "missing.npz": "missing.npz: No such file",
        "text.npz": "text.npz: not an npz archive",
        "flipped.dcz": "flipped.dcz: tensor 'w', chunk 0: the stored bytes do not match",
        "folder": "folder: no weights in it",
        "a.npz --filter x*": "a.npz: filter: 'x*' matches none of the 1 tensor; * stands",
        "a.npz --html old.npz": "old.npz: already exists; use --force",
        "a.npz --png no/n.png": "no/n.png: the folder ",
    },
    "verify": {
        "missing.dcz": "missing.dcz: No such file",
        "flipped.dcz": "flipped.dcz: tensor 'w', chunk 0: the stored bytes do not match",
        "text.dcz": "text.dcz: magic: this is not a dcz file",
        "empty.dcz": "empty.dcz: magic: the file ends after 0 bytes",
        "a.dcz --base a.npz": "a.dcz: is a whole model, not the differences to a base",
        "ab.dcz --base missing.npz": "missing.npz: the base is not there; ab.dcz wants a.npz",
        "ab.dcz --base c.npz": "ab.dcz: tensor 'w', chunk 0: the base's words have the CRC-32C",
        "ab.dcz --base text.npz": "text.npz: not an npz archive",
    },
    "diff": {
        "missing.npz a.npz": "missing.npz: No such file",
        "a.npz missing.npz": "missing.npz: No such file",
        "a.npz text.dcz": "text.dcz: magic: this is not a dcz file",
        "flipped.dcz a.npz": "flipped.dcz: tensor 'w', chunk 0: the stored bytes do not match",
        "folder a.npz": "folder: no weights in it",
        "a.npz a.dcz --max-bytes 1": "a.npz: tensor 'w': decoding needs 12000 bytes",
    },
    "plan": {
        "missing.npz --target-ratio 3": "missing.npz: No such file",
        "text.npz --target-ratio 3": "text.npz: not an npz archive",
        "flipped.dcz --target-ratio 3": "flipped.dcz: tensor 'w', chunk 0: the stored bytes do not match",
        "a.npz --target-bytes 3": "a.npz: target: a file of 3 bytes cannot be made",
        "a.npz --target-ratio 3 --names x*": "a.npz: names: 'x*' matches none of the 1 tensor; near it: w",
        "a.npz --target-ratio 3 -o no/n.toml": "no/n.toml: the folder ",
        "a.npz --target-ratio 3 -o odd.toml": "odd.toml: already exists; use --force",
    },
    "shrink": {
        "missing.onnx n.dcz --data a.npz": "missing.onnx: No such file",
        "text.onnx n.dcz --data missing.npz": "missing.npz: No such file",
        "text.onnx old.dcz --data a.npz": "old.dcz: already exists; use --force",
        "text.onnx no/n.dcz --data a.npz": "no/n.dcz: the folder ",
    },
    "merge": {
        "missing.dcz -o n.dcz": "missing.dcz: No such file",
        "text.dcz -o n.dcz": "text.dcz: magic: this is not a dcz file",
        "a.dcz b.dcz -o n.dcz": "b.dcz: tensor 'w' is in a file before it too",
        "a.dcz -o old.dcz": "old.dcz: already exists; use --force",
        "a.dcz -o no/n.dcz": "no/n.dcz: the folder ",
    },
    "apply": {
        "missing.npz ab.dcz n.npz": "missing.npz: the base is not there; ab.dcz wants a.npz",
        "a.npz missing.dcz n.npz": "missing.dcz: No such file",
        "a.npz text.dcz n.npz": "text.dcz: magic: this is not a dcz file",
        "a.npz a.dcz n.npz": "a.dcz: is a whole model, not the differences to a base",
        "c.npz ab.dcz n.npz": "ab.dcz: tensor 'w', chunk 0: the base's words have the CRC-32C",
        "b.npz ab.dcz n.npz": "ab.dcz: tensor 'w', chunk 0: the words are already those of the result",
        "text.npz ab.dcz n.npz": "text.npz: not an npz archive",
        "a.npz ab.dcz old.npz": "old.npz: already exists; use --force",
        "a.npz ab.dcz no/n.npz": "no/n.npz: the folder ",
    },
    "fold": {
        "missing.dcz bc.dcz n.dcz": "missing.dcz: No such file",
        "ab.dcz missing.dcz n.dcz": "missing.dcz: No such file",
        "bc.dcz ab.dcz n.dcz": "ab.dcz: tensor 'w': was made from words with the CRC-32C",
        "ab.dcz text.dcz n.dcz": "text.dcz: magic: this is not a dcz file",
        "ab.dcz a.dcz n.dcz": "a.dcz: is a whole model, not the differences to a base",
        "ab.dcz bc.dcz old.dcz": "old.dcz: already exists; use --force",
        "ab.dcz bc.dcz no/n.dcz": "no/n.dcz: the folder ",
    },
}

# Faults of the command line, whatever the files hold: exit code 2.
OF_THE_COMMAND_LINE = {
    "pack": {
        "a.npz": "Missing argument 'DST'",
        "a.npz n.dcz x": "Got unexpected extra argument",
        "a.npz n.dcz --fast": "No such option: --fast",
        "a.npz n.xyz": "n.xyz: the name of a packed file ends in .dcz",
        "a.npz n.dcz --profile x": "--profile: 'x' is unknown; expected one of auto, csr",
        "a.npz n.dcz --transform step": "--transform: goes with --base",
        "a.npz n.dcz --base c.npz --transform x": "--transform: 'x' is unknown; expected one of auto, step",
        "a.npz n.dcz --base c.npz --portable": "--portable: does not go with --base",
        "a.npz n.dcz --keep-nonfinite": "--keep-nonfinite: goes with --recipe",
        "a.npz n.dcz --recipe x.yaml": "x.yaml: a recipe is a .toml or .json file",
        "a.npz n.dcz --shapes x.json": "--shapes: is for .net files and DFloat11; a.npz has its own",
        "a.npz n.dcz --shard-size x": "--shard-size: 'x' is not a size; write a number with a unit",
        "a.npz n.dcz --shard-size 5MB": "n.dcz: a shard size is for several files; name their index",
        "a.npz n.dcz --max-bytes x": "--max-bytes: 'x' is not a size",
        "a.npz n.dcz --threads 0": "Invalid value for '--threads'",
        "missing.npz old.dcz --profile x": "--profile: 'x' is unknown",  # before any file is looked at
    },
    "unpack": {
        "a.dcz": "Missing argument 'DST': name the file to write",
        "a.dcz n.npz -o m.npz": "DST and --output name the file to write twice",
        "a.dcz n": "n: writing a file with the extension (none) is not supported; expected one of",
        "a.dcz n.xyz": "n.xyz: writing a file with the extension .xyz is not supported; expected one of",
        "a.dcz n.npz --shard-size 5MB": "n.npz: a shard size is for several files; name their index",
        "a.dcz n.npz --shard-size x": "--shard-size: 'x' is not a size",
        "a.dcz n.npz --max-bytes x": "--max-bytes: 'x' is not a size",
    },
    "inspect": {
        "": "Missing argument 'FILE'",
        "a.dcz --columns stored,x": "--columns: 'x' is unknown; expected some of tensor, shape",
        "ab.dcz --columns x": "--columns: 'x' is unknown; expected some of tensor, shape",
    },
    "compare": {
        "a.npz --show x": "--show: 'x' is unknown; expected one of layouts",
        "a.npz --sort x": "--sort: 'x' is unknown; expected one of name",
        "a.npz --columns x": "--columns: 'x' is unknown; expected some of layout, bytes",
        "a.npz --columns weights": "--columns: 'weights' is unknown",  # of a table that is not shown
        "a.npz --top 0": "Invalid value for '--top'",
        "a.npz --json --csv": "--json, --csv and --markdown exclude each other",
        "a.npz --png n.gif": "n.gif: the name of a figure ends in one of .png",
        "a.npz --shapes x.json": "--shapes: is for .net files; a.npz has its own",
    },
    "verify": {
        "a.dcz x": "Got unexpected extra argument",
        "a.dcz --max-bytes x": "--max-bytes: 'x' is not a size",
        "a.dcz --threads nan": "Invalid value for '--threads'",
    },
    "diff": {
        "a.npz": "Missing argument 'B'",
        "a.npz c.npz --columns x": "--columns: 'x' is unknown; expected some of tensor",
        "a.npz c.npz --max-bytes x": "--max-bytes: 'x' is not a size",
    },
    "plan": {
        "a.npz": "give one of --target-ratio, --target-bytes and --max-rel-error",
        "a.npz --target-ratio 3 --target-bytes 4": "give one of --target-ratio",
        "a.npz --target-ratio nan": "--target-ratio: expected a number in (0, ",
        "a.npz --target-bytes 0": "--target-bytes: expected an integer from 1",
        "a.npz --max-rel-error -1": "--max-rel-error: expected a number in [0, 1]",
        "a.npz --target-ratio 3 --steps x": "--steps: expected numbers with commas between them",
        "a.npz --target-ratio 3 --densities 3": "--densities: expected a number in (0, 1]",
        "a.npz --target-ratio 3 --n-bits 99": "--n-bits: expected an integer from 1 to 16",
        "a.npz --target-ratio 3 --init x": "--init: 'x' is unknown; expected one of linear",
        "a.npz --target-ratio 3 --profile x": "--profile: 'x' is unknown; expected one of auto",
        "a.npz --target-ratio 3 --entropy -1": "--entropy: expected a number in [0, ",
        "a.npz --target-ratio 3 --columns x": "--columns: 'x' is unknown; expected some of tensor",
        "a.npz --target-ratio 3 -o recipe": "recipe: a recipe is a .toml or .json file",
        "a.npz --target-ratio 3 --plot n.gif": "n.gif: a plot is a .png, .svg, .pdf file",
    },
    "shrink": {
        "text.onnx n.dcz": "Missing option '--data'",
        "a.npz n.dcz --data a.npz": "a.npz: is not an .onnx file",
        "text.onnx n.npz --data a.npz": "n.npz: the name of a shrunk model ends in .dcz or .onnx",
        "text.onnx n.dcz --data a.npz --keep 2": "--keep: expected a number in (0, 1]",
        "text.onnx n.dcz --data a.npz --metric x": "--metric: 'x' is unknown; expected one of",
        "text.onnx n.dcz --data a.npz --recipe r": "r: a recipe is a .toml or .json file",
        "text.onnx n.dcz --data a.npz --plot n.gif": "n.gif: a plot is a .png, .svg, .pdf file",
    },
    "merge": {
        "a.dcz": "Missing option '--out' / '-o'",
        "a.dcz -o n.npz": "n.npz: the name of a merged file ends in .dcz",
    },
    "apply": {
        "a.npz": "Missing argument 'DELTA': name the base, the file of differences, and the file to write",
        "ab.dcz": "ab.dcz: the base is missing; the file wants a.npz",
        "a.npz ab.dcz": "Missing argument 'NEW': name the file to write",
        "a.npz ab.dcz n.xyz": "n.xyz: writing a file with the extension .xyz is not supported",
        "a.npz ab.dcz n.npz --shard-size x": "--shard-size: 'x' is not a size",
    },
    "fold": {
        "ab.dcz bc.dcz": "Missing argument 'DST': name the file to write",
        "ab.dcz bc.dcz n.npz": "n.npz: the name of a file of differences ends in .dcz",
    },
    "explain": {"huffmann": "'huffmann' is not a term; did you mean Huffman?"},
    "completion": {"tcsh": "SHELL: 'tcsh' is unknown; expected one of bash, zsh"},
    "manual": {"x": "Got unexpected extra argument"},
}


def cases(table: dict[str, dict[str, str]]) -> list[str]:
    return [f"{verb} {arguments}".strip() for verb, rows in table.items() for arguments in rows]


def check(folder: Path, dcz_: Callable, case: str, code: int, begins: str) -> None:
    before = contents(folder)
    run = dcz_(*case.split())
    assert (run.code, run.out) == (code, "")
    assert run.err.startswith(f"dcz: {begins}") and run.err.count("\n") == 1
    assert contents(folder) == before


@pytest.mark.parametrize("case", cases(OF_FILES))
def test_a_fault_of_the_files(folder: Path, dcz_: Callable, case: str) -> None:
    verb, _, arguments = case.partition(" ")
    check(folder, dcz_, case, 2 if verb == "diff" else 1, OF_FILES[verb][arguments])


@pytest.mark.parametrize("case", cases(OF_THE_COMMAND_LINE))
def test_a_fault_of_the_command_line(folder: Path, dcz_: Callable, case: str) -> None:
    verb, _, arguments = case.partition(" ")
    check(folder, dcz_, case, 2, OF_THE_COMMAND_LINE[verb][arguments])


def test_no_command_is_left_out() -> None:
    verbs = list(get_command(app).commands)  # type: ignore[attr-defined]
    assert set(verbs) == set(OF_THE_COMMAND_LINE)
    assert set(verbs) - {"explain", "completion", "manual"} == set(OF_FILES)
    for verb, rows in OF_FILES.items():
        assert any("No such file" in begins or "is not there" in begins for begins in rows.values()), verb
