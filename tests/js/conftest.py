"""The reader for browsers, built once for all tests by the script that builds it."""

from __future__ import annotations

import runpy
import subprocess
from pathlib import Path

import pytest

from support.c_programs import C, build
from support.js_programs import JS, Node, need


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that codec/js/build makes."""
    need("clang", "wasm-ld")
    folder = tmp_path_factory.mktemp("js")
    runpy.run_path(str(JS / "build"))["build"](folder)
    return folder


@pytest.fixture(scope="session")
def node(built: Path) -> Node:
    """Node, version 18 or later."""
    need("node")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 18:
        pytest.skip(f"node 18 or later is needed; this is {version.strip()}")
    return Node(built / "dcz.wasm")


@pytest.fixture(scope="session")
def dcz_cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in C."""
    return build(tmp_path_factory.mktemp("c") / "dcz-cat", C / "tools" / "dcz-cat.c")
