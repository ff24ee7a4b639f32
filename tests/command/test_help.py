"""What a user asks for first: help, terms, completion, the manual page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from typer.main import get_command

from dcz import vocabulary
from dcz.cli import options
from dcz.cli.app import app
from dcz.delta.transforms import CHOICES
from dcz.lossy.config import INIT_NAMES
from dcz.report.layouts import TITLES
from dcz.report.rows import SORTS
from dcz.tensor import PROFILES
from support.terminal import on_terminal

VERBS = get_command(app).commands


def completed(line: str, shell: str = "bash") -> list[str]:
    """What a shell offers for the last word of a line."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_TYPER_COMPLETE_ARGS": line}
    run = subprocess.run(
        [sys.executable, "-c", "from dcz.cli import main; main()"],
        env={**os.environ, **asked, "_DCZ_COMPLETE": f"complete_{shell}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("option", "allowed", "accepted"),
    [
        ("pack --profile ", options.PROFILES, PROFILES),
        ("plan --profile ", options.PROFILES, PROFILES),
        ("plan --init ", options.INITS, INIT_NAMES),
        ("compare --sort ", options.SORTS, SORTS),
        ("compare --show ", options.VIEWS, options.VIEWS),
        ("pack --transform ", options.TRANSFORMS, CHOICES),
    ],
)
def test_values_of_options_are_completed(option: str, allowed: tuple[str, ...], accepted: Collection[str]) -> None:
    assert set(completed(f"dcz {option}")) == set(allowed) == set(accepted)


def test_verbs_and_terms_are_completed() -> None:
    assert completed("dcz un") == ["unpack"]
    assert completed("dcz explain bit") == ["bitmap", "bits/weight"]
    assert '"csr"' in "".join(completed("dcz pack --profile c", "zsh"))


def test_each_shell_gets_its_own_script(dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dcz_("completion", "zsh").out.startswith("#compdef dcz\n")
    assert "complete -o default -F" in dcz_("completion", "bash").out
    assert "complete --command dcz" in dcz_("completion", "fish").out
    monkeypatch.setenv("SHELL", "/bin/zsh")
    assert dcz_("completion").out == dcz_("completion", "zsh").out
    assert dcz_("completion", "tcsh").code == 2 and "expected one of bash, zsh" in dcz_("completion", "tcsh").err
    monkeypatch.delenv("SHELL")
    assert "the variable SHELL is not set" in dcz_("completion").err


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh on this machine")
def test_zsh_takes_its_script(dcz_: Callable) -> None:
    script = dcz_("completion", "zsh").out
    program = f"autoload -U compinit; compinit -D -u\n{script}\nprint -- $_comps[dcz]"
    run = subprocess.run(["zsh", "-fc", program], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("_dcz_completion\n", "")


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_summary_is_cut_off(width: int) -> None:
    shown = on_terminal("-h", columns=width)
    assert "..." not in shown.partition("\n")[2] and all(verb in shown for verb in VERBS)
    assert max(map(len, shown.splitlines())) <= max(width, 50)  # the help is never narrower
    assert " ".join(shown.split()).count("Show a model's size in every layout.") == 1


def test_the_manual_page_has_every_option(dcz_: Callable) -> None:
    run = dcz_("manual")
    assert (run.code, run.err) == (0, "") and run.out.startswith(".TH DCZ 1 ")
    for name, verb in VERBS.items():
        section = run.out.partition(f'.SH "DCZ {name.upper()}"\n')[2].partition("\n.SH ")[0]
        for parameter in verb.params:
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option.replace("-", "\\-") in section, (name, option)


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff on this machine")
def test_the_manual_page_is_installed(dcz_: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    page = tmp_path / "man" / "man1" / "dcz.1"
    assert dcz_("manual", "--install").out == f"{page}: written; man dcz shows it\n"
    assert page.read_text() == dcz_("manual").out
    man = shutil.which("man")
    if man is not None:
        run = subprocess.run([man, "-M", tmp_path / "man", "-w", "dcz"], capture_output=True, text=True)
        assert run.stdout.strip() == str(page)


def test_groff_takes_the_manual_page_without_a_warning(dcz_: Callable) -> None:
    run = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-rLL=78n"], input=dcz_("manual").out, capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "") and "Example: dcz pack model.safetensors model.dcz" in run.stdout


def test_terms_are_explained(dcz_: Callable) -> None:
    run = dcz_("explain", "bitmap")
    assert run.out.startswith("bitmap: One bit for each weight") and "Also: bitmask" in run.out
    assert dcz_("explain", "byte", "planes").out == dcz_("explain", "BYTE PLANES").out
    assert json.loads(dcz_("explain", "gap", "--json").out)["terms"][0]["term"] == "gap"
    listed = dcz_("explain").out
    assert all(f"{term.title}: " in listed for term in vocabulary.TERMS)
    assert dcz_("explain", "hufman").err == "dcz: 'hufman' is not a term; did you mean Huffman?\n"
    assert (dcz_("explain", "gravity").code, dcz_("explain", "gravity").out) == (2, "")


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_terms_fit_a_terminal(width: int) -> None:
    assert max(map(len, on_terminal("explain", columns=width).splitlines())) <= width
    assert max(map(len, on_terminal("explain", "CSR", columns=width).splitlines())) <= width


def test_every_word_stands_for_one_term() -> None:
    words = [word for term in vocabulary.TERMS for word in {term.title.lower(), *term.also}]
    assert len(words) == len(set(words)) and all(word == word.lower() for word in words)
    assert all(term.line.endswith(".") and len(term.line) <= 100 for term in vocabulary.TERMS)


@pytest.mark.parametrize("title", TITLES.values())
def test_titles_of_layouts_are_terms(title: str) -> None:
    assert vocabulary.find(title) is not None
