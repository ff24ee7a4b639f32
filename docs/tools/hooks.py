"""What mkdocs builds beside the pages in `docs/`: pages made of files elsewhere in the repository, and the command line
reference, made of the options that typer has."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# Files that are pages of the site, and where.
PAGES = {
    "spec/SPEC.md": "reference/format.md",
    "spec/README.md": "reference/conformance.md",
    "spec/CHANGES.md": "reference/format-changes.md",
    "spec/ATTACKS.md": "reference/attacks.md",
    "codec/c/README.md": "reference/c.md",
    "codec/js/README.md": "reference/javascript.md",
    "benchmarks/README.md": "explanation/benchmarks.md",
    "benchmarks/results/results.md": "explanation/results.md",
    "benchmarks/results/avx2/results.md": "explanation/results-avx2.md",
    "benchmarks/results/delta.md": "explanation/results-delta.md",
    "benchmarks/results/density/density.md": "explanation/results-density.md",
    "benchmarks/results/alternatives.md": "explanation/results-alternatives.md",
    "benchmarks/results/sparse_product.md": "explanation/results-sparse-product.md",
    "benchmarks/paper/README.md": "explanation/paper.md",
    **{
        f"benchmarks/paper/results/{name}.md": f"explanation/paper-{name.replace('_', '-')}.md"
        for name in ("tables_1_2_3", "tables_4_5", "table_6", "figure_8", "huffman", "order", "planning")
    },
    "ARCHITECTURE.md": "explanation/architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples.md",
}
_PICTURES = (".png", ".svg")
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages made of other files, and the pictures they show."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        if (ROOT / source).exists():
            text = _linked((ROOT / source).read_text(), source, page, config, files)
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Lets links of pages in `docs/` to other files of the repository lead to the pages made of them."""
    path = page.file.src_uri
    if path == "reference/command-line.md":
        markdown = markdown.replace("<!-- options -->", command_line())
    if path in PAGES.values():
        return markdown
    return _linked(markdown, f"docs/{path}", path, config, files)


def command_line() -> str:
    """Every verb and option in Markdown, as typer says them."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "dcz.cli.app", "utils", "docs", "--name", "dcz"],
        capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "codec")},
    )  # fmt: skip
    return done.stdout.split("**Options**", 1)[1].split("## ", 1)[1].join(["## ", ""])


def _linked(text: str, source: str, page: str, config: Any, files: Any) -> str:
    """The text with its links as the site has them; a link to a file that is no page becomes its words."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    for at in range(0, len(parts), 2):
        parts[at] = _LINK.sub(lambda link: _put(link, source, page, config, files), parts[at])
    return "".join(parts)


def _put(link: re.Match[str], source: str, page: str, config: Any, files: Any) -> str:
    address, hash_, anchor = link[3].partition("#")
    if not address or "://" in address or address.startswith("mailto:"):
        return link[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), address))
    here = posixpath.dirname(page) or "."
    if target in PAGES and (ROOT / target).exists():
        return f"{link[1]}[{link[2]}]({posixpath.relpath(PAGES[target], here)}{hash_}{anchor})"
    if target.startswith("docs/"):
        return f"{link[1]}[{link[2]}]({posixpath.relpath(target.removeprefix('docs/'), here)}{hash_}{anchor})"
    if target.endswith(_PICTURES) and (ROOT / target).exists():
        from mkdocs.structure.files import File

        name = f"images/{target.replace('/', '-')}"
        if files.get_file_from_path(name) is None:
            files.append(File.generated(config, name, abs_src_path=str(ROOT / target)))
        return f"{link[1]}[{link[2]}]({posixpath.relpath(name, here)})"
    if not (ROOT / target).exists():
        raise FileNotFoundError(f"{source}: the link to {link[3]} leads nowhere")
    return link[2]
