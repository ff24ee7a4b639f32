"""The versions that the page on tools names are those that are pinned, and installed where the tests run."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from support.frameworks import run_program
from support.tiny_models import library

ROOT = Path(__file__).parents[2]
PAGE, PINS = ROOT / "docs" / "howto" / "tools.md", ROOT / "tests" / "requirements-integrations.txt"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the tests lie apart from the source")


def test_the_page_names_the_pinned_versions() -> None:
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", PINS.read_text(), re.MULTILINE))
    rows = dict(re.findall(r"^\| ([\w-]+) \| (\d[\w.]*) \|", PAGE.read_text(), re.MULTILINE))
    assert {"transformers", "diffusers", "sentence-transformers", "peft", "huggingface_hub"} <= rows.keys()
    assert {name: pins.get(name) for name in rows if name in pins} == {
        name: rows[name] for name in rows if name in pins
    }


@pytest.mark.parametrize("name", ["transformers", "diffusers", "sentence-transformers", "peft", "huggingface_hub"])
def test_the_pinned_version_is_tested(name: str) -> None:
    library(name.replace("-", "_"))
    assert f"{name}=={version(name)}" in PINS.read_text().split()


MISSING = """
import sys
sys.modules["{module}"] = None
import dcz
try:
    dcz.{name}
except ImportError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("name", "module"),
    [("hub", "huggingface_hub"), ("hub", "torch"), ("transformers", "transformers"), ("transformers", "torch")],
)
def test_a_missing_library_is_named_with_its_extra(name: str, module: str) -> None:
    if module == "torch":
        library({"hub": "huggingface_hub"}.get(name, name))  # which is asked for first
    assert run_program(MISSING.format(name=name, module=module)) == (
        f"MissingLibraryError dcz.{name} needs {module}, which is not installed: pip install 'dcz[{name}]'\n"
    )
