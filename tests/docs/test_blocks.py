"""Every code block of the README and the pages runs, and prints what the page shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "docs" / "tools" / "blocks.py"

pytestmark = pytest.mark.skipif(
    not TOOL.exists() or os.name != "posix", reason="needs the source tree, and a system with pseudo-terminals"
)
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.exists()]
SKIPPED = 77


def run(page: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(TOOL), str(page), *words], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("page", [page for page in PAGES if "```" in page.read_text()], ids=lambda page: page.stem)
def test_blocks(page: Path) -> None:
    pytest.importorskip("safetensors", reason="the pages' models are safetensors files")
    done = run(page)
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr


# -- the tool itself

PAGE = """# A page

<!-- run
import os
-->

```python
print(6 * 7)
```

```text
42
```

```sh
cat made.txt
```

```text
...
line
```
"""


def page_of(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text('```text title="made.txt"\na\nline\n```\n' + text)
    return page


def test_a_page_that_is_right(tmp_path: Path) -> None:
    done = run(page_of(tmp_path, PAGE))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "wrong, found",
    [
        (PAGE.replace("42", "43"), "42"),
        (PAGE.replace("\nline", "\nother"), "line"),
        (PAGE.replace("6 * 7", "6 * seven"), "NameError"),
        (PAGE.replace("cat made.txt", "cat missing.txt"), "missing.txt"),
        (PAGE.replace("import os", "import nothing_such"), "ModuleNotFoundError"),
        (PAGE + "\n```sh\npip install '.[nothing-such]'\n```\n", "no extra 'nothing-such'"),
    ],
)
def test_a_page_that_is_wrong(tmp_path: Path, wrong: str, found: str) -> None:
    done = run(page_of(tmp_path, wrong))
    assert done.returncode == 1 and found in done.stdout, done.stdout + done.stderr


def test_writing_what_is_printed(tmp_path: Path) -> None:
    page = page_of(tmp_path, PAGE.replace("42", "43"))
    assert run(page, "--write").returncode == 1
    assert page.read_text() == page_of(tmp_path, PAGE).read_text()


def test_a_page_that_needs_what_is_not_there(tmp_path: Path) -> None:
    done = run(page_of(tmp_path, "<!-- needs: nothing_such -->\n" + PAGE))
    assert (done.returncode, done.stdout) == (SKIPPED, "not installed: nothing_such\n")
