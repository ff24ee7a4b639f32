"""Hypothesis profiles, the kernel sets that tests run on, and a browser.

`DCZ_TEST_PROFILE` chooses the profile: `dev` (the default: few examples), `ci`, or `nightly` (the long
campaign, with new examples every time; `DCZ_TEST_EXAMPLES` says how many a test).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

if find_spec("dcz.kernels._native") is None:  # else it warns, here and in every process that tests start
    os.environ.setdefault("DCZ_KERNELS", "pure")

from dcz import kernels
from dcz.kernels import Kernels
from support.kernel_sets import KERNEL_SETS, NATIVE_SETS
from support.s3 import S3, serving

_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=25, derandomize=True, database=None, **_COMMON)
settings.register_profile("ci", max_examples=100, derandomize=True, database=None, **_COMMON)
settings.register_profile("nightly", max_examples=int(os.environ.get("DCZ_TEST_EXAMPLES", "10000")), **_COMMON)
settings.load_profile(os.environ.get("DCZ_TEST_PROFILE", "dev"))


def pytest_report_header() -> str:
    """Which kernels are tested, and what that leaves out."""
    if NATIVE_SETS:
        return f"kernels: {', '.join(KERNEL_SETS)}"
    return "kernels: pure only; this install has no compiled ones, and their tests skip or are not collected"


@pytest.fixture(params=KERNEL_SETS, scope="session")
def kernel_set(request: pytest.FixtureRequest) -> Kernels:
    """Each kernel set of this install that this machine runs."""
    return kernels.available()[request.param]


@pytest.fixture(params=NATIVE_SETS, scope="session")
def native_set(request: pytest.FixtureRequest) -> Kernels:
    """Each compiled kernel set."""
    return kernels.available()[request.param]


@pytest.fixture(scope="session")
def pure() -> Kernels:
    """The kernel set in Python."""
    return kernels.available()["pure"]


@pytest.fixture
def browser() -> Iterator[Any]:
    """Chromium, for one test; `support.browser` has what goes with it."""
    from support.browser import chromium

    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def _s3() -> Iterator[S3]:
    """One S3 API server for all tests: moto keeps its buckets in the process, and s3fs its connections."""
    for library in ("s3fs", "moto.server"):
        pytest.importorskip(library, reason="s3:// needs s3fs, and the S3 server moto: the extra `test`")
    with serving() as server:
        yield server
