"""libdcz, compiled once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.c_programs import SANITIZED, C, Driver, build, can_sanitize


@pytest.fixture(scope="session")
def dcz_cat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that lists and extracts."""
    return build(tmp_path_factory.mktemp("c") / "dcz-cat", C / "tools" / "dcz-cat.c")


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """libdcz under the sanitizers, where the compiler has them."""
    folder = tmp_path_factory.mktemp("c")
    flags = SANITIZED if can_sanitize(folder) else ("-O1",)
    return Driver(build(folder / "driver", Path(__file__).parent / "driver.c", flags=flags))
