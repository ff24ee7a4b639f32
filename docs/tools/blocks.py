"""Runs the code blocks of the README and the pages, in order, each page in an empty folder and a process of its own.

python docs/tools/blocks.py [PAGE...]            # run; exit code 1 where a block fails or prints something else
python docs/tools/blocks.py --write [PAGE...]    # run, and put what is printed into the pages

- `python` blocks of a page share their names; `sh` blocks run in bash, on a terminal of 80 columns.
- A `text` block right behind one of these is what it prints. A line `...` in it stands for any lines.
- `text title="For example"` is written likewise, but not compared: where numbers differ from machine to machine.
- Any other block whose language is followed by title="NAME" is written to the file NAME.
- `<!-- run` ... `-->` hides Python that prepares a page. `<!-- needs: MODULE -->` at the top: skipped without it;
  `header:zstd.h` stands for a C compiler that finds the header.
- The folder has links to the repository's own, so that commands from its root work.
- `sh` blocks that begin with `pip install` are not run, but the extras in them have to exist: CI runs the README's.
- `<!-- not run: WHY -->` in front of a block leaves it out.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

TOOLS = Path(__file__).parent
ROOT = TOOLS.parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.terminal import run_on_terminal

COLUMNS = 80
EXAMPLE = "For example"
SKIPPED = 77  # exit code: the page needs what is not installed
_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>.+?) -->\n)?"
    r"(?:^```(?P<language>[\w-]*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$"
    r"|<!-- run\n(?P<hidden>.*?)^-->$)",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    """A fenced block, or a hidden one. `start` and `end` are where its code is in the page."""

    language: str
    code: str
    title: str | None
    why: str | None
    line: int
    start: int
    end: int
    fence_end: int


def pages() -> list[Path]:
    """All pages with blocks that are checked."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> list[Block]:
    """The blocks of a page."""
    found = []
    for match in _FENCE.finditer(text):
        group = "hidden" if match["hidden"] is not None else "code"
        language = "python" if group == "hidden" else match["language"]
        start, end = match.span(group)
        line = text.count("\n", 0, start) + 1
        found.append(Block(language, match[group], match["title"], match["why"], line, start, end, match.end()))
    return found


def needs(text: str) -> list[str]:
    """Modules without which a page cannot run."""
    return [name for line in re.findall(r"<!-- needs: (.+?) -->", text) for name in line.split()]


def _there(name: str) -> bool:
    """Whether a module can be imported, or a C compiler finds a header."""
    kind, _, header = name.partition(":")
    if kind != "header":
        return find_spec(name) is not None
    command = ["cc", "-E", "-include", header, "-x", "c", os.devnull]
    return shutil.which("cc") is not None and not subprocess.run(command, capture_output=True, check=False).returncode


def _shell(code: str) -> str:
    """What bash prints on a terminal; what it says to standard error is shown if it fails."""
    exit_code, shown, errors = run_on_terminal(["bash", "-euo", "pipefail", "-c", code], COLUMNS)
    if exit_code:
        raise RuntimeError(f"exit code {exit_code}\n{shown}\n{errors}")
    return shown


def _python(code: str, names: dict[str, object], page: Path, line: int) -> str:
    out = io.StringIO()
    tree = ast.increment_lineno(ast.parse(code), line - 1)
    with contextlib.redirect_stdout(out):
        exec(compile(tree, str(page), "exec"), names)
    return out.getvalue()


def _extras(code: str) -> list[str]:
    """Extras that a `pip install` names."""
    return [
        extra for group in re.findall(r"\[([\w, -]+)\]", code) for extra in group.split(",") if "pip install" in code
    ]


def _known_extras() -> set[str]:
    text = (ROOT / "pyproject.toml").read_text()
    return set(re.findall(r"^([\w-]+) = \[", text.split("[project.optional-dependencies]")[1], re.MULTILINE))


def same(said: str, shown: str) -> bool:
    """Whether what was printed is what the page shows."""
    strip = [line.rstrip() for line in said.strip("\n").splitlines()]
    lines = [line.rstrip() for line in shown.strip("\n").splitlines()]
    pattern = "\n".join(".*" if line == "..." else re.escape(line) for line in lines)
    return re.fullmatch(pattern, "\n".join(strip), re.DOTALL) is not None


def _commands(folder: Path) -> None:
    """`dcz` and `python` are this interpreter's, wherever its scripts are."""
    folder.mkdir()
    for name, words in (("dcz", "-m dcz"), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (folder / name).chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def run(page: Path, write: bool) -> list[str]:
    """Runs the blocks of a page where we are; what is wrong, and with `write` puts what is printed into the page."""
    text = page.read_text()
    wrong: list[str] = []
    names: dict[str, object] = {"__name__": "__main__"}
    found = blocks(text)
    changes: list[tuple[int, int, str]] = []
    printed: str | None = None
    end = 0
    for block in found:
        where = f"{page}:{block.line}"
        wrong += [f"{where}: no extra {extra!r}" for extra in _extras(block.code) if extra not in _known_extras()]
        if block.language == "text" and printed is not None and not _between(text[end : block.start]):
            if block.title == EXAMPLE or (write and block.code.strip() == "..."):
                changes.append((block.start, block.end, _shown(printed)))
            elif not same(printed, block.code):
                wrong.append(f"{where}: the page shows\n{block.code}\nbut this is printed:\n{printed}")
                changes.append((block.start, block.end, _shown(printed)))
            printed = None
        elif block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.code)
        elif block.code.startswith("pip install"):
            printed = None
        elif block.language in ("python", "sh") and block.why is None:
            try:
                if block.language == "sh":
                    printed = _shell(block.code)
                else:
                    printed = _python(block.code, names, page, block.line)
            except BaseException as error:
                wrong.append(
                    f"{where}: {block.code}\n{traceback.format_exc() if block.language == 'python' else error}"
                )
                break
            end = block.fence_end
        else:
            printed = None
    if write and changes:
        for start, stop, new in reversed(changes):
            text = text[:start] + new + text[stop:]
        page.write_text(text)
    for picture in re.findall(r"\]\(images/([\w-]+\.svg)\)", text) if write else ():
        if Path(picture).exists():  # the page has drawn it
            shutil.copy(picture, page.parent / "images" / picture)
    return wrong


def _shown(printed: str) -> str:
    """What a page shows of what is printed: ports of servers differ from run to run."""
    lines = ["..." if "127.0.0.1:" in line else line.rstrip() for line in printed.strip("\n").splitlines()]
    return "\n".join(lines) + "\n"


def _between(text: str) -> str:
    """What stands between a block and what it prints, but for the fence."""
    return re.sub(r"^```text( title=\"[^\"]*\")?$", "", text, flags=re.MULTILINE).strip()


def _prepare() -> None:
    """What the README's commands are given."""
    from models import dense, save_safetensors

    save_safetensors(dense(), "model.safetensors")


def main(page: Path, write: bool) -> int:
    """Runs one page; exit code 0, 1 or SKIPPED."""
    page = page.resolve()
    missing = [name for name in needs(page.read_text()) if not _there(name)]
    if missing:
        print(f"not installed: {', '.join(missing)}")
        return SKIPPED
    sys.path[0] = str(TOOLS)
    # Small models: threads of a BLAS would only wait for each other where the machine is busy.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    home = os.getcwd()
    with tempfile.TemporaryDirectory() as scratch:
        _commands(Path(scratch) / "bin")
        folder = Path(scratch) / "page"
        folder.mkdir()
        for name in ("benchmarks", "codec", "examples", "spec"):
            (folder / name).symlink_to(ROOT / name)
        os.chdir(folder)
        if page == ROOT / "README.md":
            _prepare()
        try:
            wrong = run(page, write)
        finally:
            os.chdir(home)
            shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(wrong), end="\n" if wrong else "")
    return int(bool(wrong))


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word != "--write"]
    writes = "--write" in sys.argv[1:]
    if len(arguments) == 1:
        sys.exit(main(Path(arguments[0]), writes))
    codes = {}
    for each in [Path(word) for word in arguments] or pages():
        if any(block.language in ("python", "sh") for block in blocks(each.read_text())):
            command = [sys.executable, __file__, str(each), *(["--write"] if writes else [])]
            codes[each] = subprocess.run(command, check=False).returncode
            print(f"{each}: {({0: 'fine', SKIPPED: 'skipped'}).get(codes[each], 'written' if writes else 'WRONG')}")
    sys.exit(int(any(code not in (0, SKIPPED) for code in codes.values())))
