"""Pages: tables and pictures are those of the committed results, links lead somewhere, and the site builds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the tests lie apart from the source tree")

# Every page in Markdown that people read where it lies.
READ = [
    *ROOT.glob("*.md"),
    *DOCS.rglob("*.md"),
    *(ROOT / "spec").glob("*.md"),
    *(ROOT / "examples").glob("*.md"),
    *(ROOT / "codec").glob("*/README.md"),
    *(ROOT / "benchmarks").rglob("*.md"),
]
_LINK = re.compile(r"\]\((?!\w+:)([^()\s#]+)(?:#[^()\s]*)?\)")


def tool(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DOCS / "tools" / name), *words], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("name", ["tables.py", "pictures.py"])
def test_up_to_date(name: str) -> None:
    done = tool(name)
    assert done.returncode == 0, f"python docs/tools/{name} --write\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "", text)
    missing = [link for link in _LINK.findall(text) if not (page.parent / link).exists()]
    assert not missing


def test_links_to_other_sites_are_well_formed() -> None:
    """Whether their pages are there is asked by hand: `python docs/tools/links.py --check`."""
    done = tool("links.py")
    assert done.returncode == 0 and "https://" in done.stdout, done.stdout
    sys.path.insert(0, str(DOCS / "tools"))
    import links

    assert links.links("[a](https://a.org/b), <http://c>; `https://code.org`\n") == ["https://a.org/b", "http://c"]
    assert [bool(links.wrong(link)) for link in ("https://a.org/b", "http://a.org", "https://host", "https:a.org")] == [
        False, True, True, True,
    ]  # fmt: skip


def test_the_readme_is_short() -> None:
    """130 lines of 100 columns; tables, pictures and code may be wider."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert [line for line in prose.splitlines() if len(line) > 100 and not line.startswith(("|", "!["))] == []


def test_the_site(tmp_path: Path) -> None:
    """With --strict: every page in the navigation, every link and anchor."""
    for module in ("mkdocs", "material", "mkdocstrings_handlers"):
        pytest.importorskip(module, reason="the site's builder is not installed: tests/requirements-docs.txt")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT, capture_output=True, text=True, timeout=300, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "reference" / "api" / "index.html").read_text()
    assert "dcz.api.save_file" in reference
    options = (tmp_path / "reference" / "command-line" / "index.html").read_text()
    assert "--portable" in options and "dcz-apply" in options
    assert "R-FILE-1" in (tmp_path / "reference" / "format" / "index.html").read_text()
    assert (tmp_path / "search" / "search_index.json").stat().st_size > 100_000
