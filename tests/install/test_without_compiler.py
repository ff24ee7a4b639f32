"""Where no C++ compiler is found the install goes on, in pure Python, and says so."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import dcz
from support.arrays import make_array
from support.bits import assert_same_bits

ROOT = Path(__file__).parents[2]
BACKEND = ("scikit_build_core", "nanobind")

pytestmark = [
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in BACKEND),
        reason="needs scikit-build-core and nanobind (install dcz[test]) to build a wheel without downloading them",
    ),
    pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="the tests lie apart from the source tree"),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The wheel's name and where it is unpacked: built from a copy of the sources, all compilers hidden."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    leave = shutil.ignore_patterns("__pycache__", "*.so", "*.pyi", "build")
    shutil.copytree(ROOT / "codec", source / "codec", ignore=leave)
    environment = {
        **{key: value for key, value in os.environ.items() if key not in ("CFLAGS", "CXXFLAGS", "CMAKE_ARGS")},
        "CC": "/bin/false",
        "CXX": "/bin/false",
        "PATH": os.path.dirname(sys.executable),  # cmake and ninja may be there, compilers are not
    }
    command = [sys.executable, "-m", "pip", "wheel", str(source), "--no-build-isolation", "--no-deps"]
    command += ["--no-index", "--wheel-dir", str(folder), "--verbose"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "pure-Python path, which is correct but slower" in run.stdout + run.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return wheel.name, folder / "unpacked"


def python(package: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another Python, with this package in front of the installed one, even where that is an editable one."""
    program = f"import sys; sys.path.insert(0, {str(package)!r}); "
    program += "sys.meta_path[:] = [finder for finder in sys.meta_path if isinstance(finder, type)]; "
    command = [sys.executable, "-c", program + arguments[0], *arguments[1:]]
    settings = {key: value for key, value in os.environ.items() if key != "DCZ_KERNELS"}
    return subprocess.run(command, env={**settings, **environment}, capture_output=True, text=True, timeout=120)


def test_the_wheel_is_for_every_machine(package: tuple[str, Path]) -> None:
    name, folder = package
    assert name == f"dcz-{dcz.__version__}-py3-none-any.whl"
    assert not list(folder.rglob("*.so"))
    assert (folder / "dcz" / "py.typed").exists()


def test_it_says_so_once(package: tuple[str, Path]) -> None:
    program = "import dcz; dcz.save({}); dcz.save({}); print(dcz.__file__)"
    run = python(package[1], program)
    assert run.returncode == 0 and run.stdout.startswith(str(package[1]))
    assert run.stderr.count("without its C++ kernels and runs in pure Python: correct, but slower") == 1
    quiet = python(package[1], program, DCZ_KERNELS="pure")
    assert (quiet.returncode, quiet.stderr) == (0, "")


def test_the_version_names_its_kernels(package: tuple[str, Path]) -> None:
    program = "sys.argv[1:] = ['--version']; from dcz.cli import main; main()"
    run = python(package[1], program, DCZ_KERNELS="pure")
    assert (run.returncode, run.stderr) == (0, "") and run.stdout.endswith("kernels pure\n")


def test_it_reads_and_writes_the_same_files(package: tuple[str, Path], tmp_path: Path) -> None:
    array = make_array(1, "F32", (300, 200), 0.1, 20, "float")
    dcz.save_file({"w": array}, tmp_path / "native.dcz")
    program = (
        "import dcz; tensors = dcz.load_file(sys.argv[1] + '/native.dcz'); "
        "dcz.save_file(tensors, sys.argv[1] + '/pure.dcz'); print(dcz.verify(sys.argv[1] + '/pure.dcz').decoded)"
    )
    run = python(package[1], program, str(tmp_path), DCZ_KERNELS="pure")
    assert (run.returncode, run.stderr, run.stdout) == (0, "", "240000\n")
    assert (tmp_path / "pure.dcz").read_bytes() == (tmp_path / "native.dcz").read_bytes()
    assert_same_bits(dcz.load_file(tmp_path / "pure.dcz")["w"], array)


def test_forcing_kernels_that_are_not_there(package: tuple[str, Path]) -> None:
    run = python(package[1], "import dcz; dcz.save({})", DCZ_KERNELS="portable")
    assert run.returncode != 0
    assert "DCZ_KERNELS=portable: this machine has no such kernel set; expected one of pure" in run.stderr
