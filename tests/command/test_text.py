"""Names from strangers' files: shown as text, whatever shows them."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz import planning
from dcz.text import columns, ended, printable, shortened, shortened_name

# What terminals, spreadsheets and Markdown obey: escape sequences of two kinds, text that runs backwards, formulas,
# links, pictures, HTML, cells of their own.
NAMES = (
    "esc\x1b[31m", "c1\x9b31m", "back\u202ewards", "two\nlines", "=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", " =1",
    "\uff1d1", "![x](http://evil.example/p.png)", "[y](http://evil.example)", "<img src=x>", "http://evil.example",
    "`` ![z](http://evil.example)", "a|b", "a\\|b", "www.evil.example", "me@evil.example", "*b*",
)  # fmt: skip
OBEYED = ("\x1b", "\x9b", "\u202e")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    dcz.save_file({name: np.arange(9) for name in NAMES}, "n.dcz", metadata={"\x9b\u202e": "\x1b\u202e"})
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ("inspect", "n.dcz"), ("inspect", "n.dcz", "--json"), ("compare", "n.dcz", "--show", "all"),
        ("compare", "n.dcz", "--csv"), ("compare", "n.dcz", "--markdown"), ("compare", "n.dcz", "--json"),
        ("diff", "n.dcz", "n.dcz", "--all"), ("diff", "n.dcz", "n.dcz", "--json"),
    ],
)  # fmt: skip
def test_nothing_printed_is_obeyed(folder: Path, dcz_: Callable, arguments: tuple[str, ...]) -> None:
    run = dcz_(*arguments)
    assert (run.code, run.err) == (0, "")
    assert not [c for c in run.out if c != "\n" and not c.isprintable()]


def test_json_is_the_same_text_escaped(folder: Path, dcz_: Callable) -> None:
    document = json.loads(dcz_("inspect", "n.dcz", "--json").out)
    assert {tensor["name"] for tensor in document["tensors"]} == set(NAMES)
    assert document["metadata"] == {"\x9b\u202e": "\x1b\u202e"}


def test_csv_has_no_formulas(folder: Path, dcz_: Callable) -> None:
    rows = list(csv.reader(io.StringIO(dcz_("compare", "n.dcz", "--csv").out)))
    assert len(rows) == len(NAMES) + 1
    for row in rows:
        for cell in row:
            assert cell.lstrip()[:1] not in tuple("=+-@\uff1d\uff0b\uff0d\uff20") or not cell
    assert "'=1+1" in {row[0] for row in rows}


def test_markdown_has_no_links(folder: Path, dcz_: Callable) -> None:
    MarkdownIt = pytest.importorskip("markdown_it", reason="needs markdown-it-py to render Markdown").MarkdownIt
    text = dcz_("compare", "n.dcz", "--markdown").out
    try:
        parser = MarkdownIt("gfm-like")  # with links made of bare addresses, where linkify-it is installed
        parser.render("x")
    except ModuleNotFoundError:
        parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    page = parser.render(text)
    for tag in ("<a ", "<img", "<em", "<strong"):
        assert tag not in page
    body = page.split("<table>")[2]
    assert body.count("<tr>") == len(NAMES) + 1 and body.count("<td") == 10 * len(NAMES)


def test_pages_show_names_as_text(folder: Path, dcz_: Callable) -> None:
    with dcz.open("n.dcz") as reader:
        for page in (reader._repr_html_(), dcz.compare(reader)._repr_html_()):
            assert "<img" not in page and not [c for c in page if c != "\n" and not c.isprintable()]


def test_errors_are_printable_wherever_they_are_shown() -> None:
    for error in (dcz.DczError, dcz.FormatError, dcz.LimitError):
        text = str(error("tensor 'a\x1b[31m\x9b\u202e': bad\nnext line"))
        assert text == "tensor 'a\\x1b[31m\\x9b\\u202e': bad\nnext line"


def test_a_traceback_shows_no_escape_sequences(folder: Path) -> None:
    program = "import dcz; dcz.load_file('n.dcz'); dcz.errors.DczError; raise dcz.DczError('w\\x1b[31m')"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "\x1b" not in run.stderr.splitlines()[-1] and "w\\x1b[31m" in run.stderr


@pytest.mark.parametrize("longest", range(1, 50))
@pytest.mark.parametrize(
    "name", ["model.layers.10.self_attn.q_proj.weight", "\u5c42" * 30, "e\u0301" * 20, "a/b/c/d.bin", "x", ""]
)
def test_shortened_text_fits(name: str, longest: int) -> None:
    for shorten in (shortened, shortened_name, ended):
        assert columns(shorten(name, longest)) <= longest
        assert shorten(name, 1000) == name
    assert printable(name, longest) == shortened(name, longest)


def test_one_is_not_many(tmp_path: Path, dcz_: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of one tensor, of one weight, in one chunk."""
    monkeypatch.chdir(tmp_path)
    dcz.save_file({"w": np.ones(1)}, "w.dcz", metadata={f"key {i}": i for i in range(6)})
    np.savez("w.npz", w=np.ones(1))
    shown = [
        dcz_(*arguments).out
        for arguments in (
            ("inspect", "w.dcz"), ("compare", "w.dcz", "--show", "all"), ("verify", "w.dcz"),
            ("pack", "w.npz", "a.dcz"), ("unpack", "w.dcz", "a.npz"), ("merge", "w.dcz", "-o", "b.dcz"),
            ("diff", "w.dcz", "w.dcz"), ("diff", "w.dcz", "a.dcz"), ("pack", "w.npz", "d.dcz", "--base", "w.dcz"),
            ("inspect", "d.dcz"),
        )
    ]  # fmt: skip
    with dcz.open("w.dcz") as reader:
        shown += [repr(reader), repr(reader.info("w").layout), reader._repr_html_()]
    report = dcz.compare("w.dcz")
    treated = dcz.compress({"w": np.eye(48)}, {"n_bits": 2})
    plan = dcz.plan({"w": np.random.Generator(np.random.PCG64(1)).standard_normal((48, 48))}, target_ratio=4)
    shown += [treated._repr_html_(), repr(plan), plan._repr_html_(), planning.Plans((plan,))._repr_html_()]
    assert all("1 tensor to a file of" in text for text in shown[-3:-1])
    shown += [repr(report), report._repr_html_()]
    assert all(shown) and "1 tensor" in shown[0] and "and 1 more entry of metadata" in shown[0]
    for text in shown:
        assert re.findall(r"\b1 (?:more )?(?:\w+s|indices|entries)\b(?! is)", text.replace("1 bits", "")) == []


# Nouns that are counted, and what a sentence says where the number cannot be one: it is beyond a limit, or the size of
# a file or a header.
_NOUNS = re.compile(
    r" (?:more |other |smaller |distinct )?"
    r"(tensors|chunks|files|shards|weights|values|words|entries|keys|integers|dimensions|codebooks|bytes)\b"
)
_NEVER_ONE = re.compile(
    r"limit is|more than|too (?:few|many)|window|wider|max_bytes|at most|would have|should (?:be|have)|holds \{\}|"
    r"at \{\}|cannot be made|index of|raw index|metadata hold|\{\} bytes(?:>|, \{\} dense| compress)|takes \{\} bytes|"
    r"in common|took nothing|accounted|names, shapes|beyond|\{\} \(\{\} bytes\)|files (?:have|at)|in \{\} and \{\}|"
    r"with indices of|which the|expected|limit (?:for|of)|not monotone|offsets, the| had "
)


def counts() -> list[str]:
    """Numbers in texts of the package with a noun in the plural after them."""
    found = []
    for path in sorted(Path(dcz.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else []
            texts = [part.value if isinstance(part, ast.Constant) else "{}" for part in parts]
            for number, after in zip(parts, texts[1:]):
                if isinstance(number, ast.FormattedValue) and number.conversion == -1 and _NOUNS.match(after):
                    found.append(f"{path.name}:{number.lineno}: {''.join(texts)}")
    return found


def test_counts_are_made_in_one_way() -> None:
    """`plural` knows that one is not many."""
    assert [line for line in counts() if not _NEVER_ONE.search(line)] == []
