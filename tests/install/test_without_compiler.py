"""An sdist builds a wheel. Where no C++ compiler is found the install goes on, in pure Python, and says so."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
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


# What someone who has only the sdist needs to build, to test and to check the format.
IN_SDIST = (
    "pyproject.toml", "README.md", "LICENSE", "PKG-INFO", "codec/CMakeLists.txt", "codec/native/module.cpp",
    "codec/dcz/version.py", "codec/dcz/kernels/_native.pyi", "spec/SPEC.md", "spec/reference_decoder.py",
    "tests/conftest.py", "tests/requirements-lint.txt",
)  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked sdist, made of what the repository tracks."""
    folder = tmp_path_factory.mktemp("sdist")
    tree = folder / "tree"
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, tree / name)
    else:
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("__pycache__", "*.so", "build"))
    program = f"from scikit_build_core.build import build_sdist; build_sdist({str(folder)!r})"
    run = subprocess.run([sys.executable, "-c", program], cwd=tree, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    (sdist,) = folder.glob("*.tar.gz")
    assert sdist.name == f"dcz-{dcz.__version__}.tar.gz"
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    return folder / "unpacked" / f"dcz-{dcz.__version__}"


def tools(folder: Path) -> list[str]:
    """A folder with cmake and ninja, if they are installed, and no compiler."""
    found = folder / "tools"
    found.mkdir()
    for name in ("cmake", "ninja"):
        if path := shutil.which(name):
            (found / name).symlink_to(path)
    return [str(found)]


@pytest.fixture(scope="module")
def package(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The wheel's name and where it is unpacked: built from the sdist, all compilers hidden."""
    folder = tmp_path_factory.mktemp("build")
    environment = {
        **{key: value for key, value in os.environ.items() if key not in ("CFLAGS", "CXXFLAGS", "CMAKE_ARGS")},
        "CC": "/bin/false",
        "CXX": "/bin/false",
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), *tools(folder)]),
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


def test_an_sdist_holds_what_is_needed(source: Path) -> None:
    assert [name for name in IN_SDIST if not (source / name).is_file()] == []
    assert not list(source.rglob("*.so"))
    assert not list(source.rglob("__pycache__"))


def test_a_wheel_holds_the_package_and_nothing_else(package: tuple[str, Path]) -> None:
    """Every module and stub of the package, its license and its commands; no tests and no sources of kernels."""
    folder = package[1]
    here = {
        path.relative_to(ROOT / "codec") for path in (ROOT / "codec" / "dcz").rglob("*.py*") if path.suffix != ".pyc"
    }
    found = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    about = Path(f"dcz-{dcz.__version__}.dist-info")
    assert {path for path in found if path.suffix in (".py", ".pyi")} == {
        p for p in here if p.suffix in (".py", ".pyi")
    }
    assert {path.parts[0] for path in found} == {"dcz", about.name}
    assert {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "LICENSE"} <= {path.name for path in found}
    assert not [path for path in found if path.suffix in (".cpp", ".hpp", ".c", ".h", ".so")]
    assert "dcz = dcz.cli:main" in (folder / about / "entry_points.txt").read_text()
    assert f"Version: {dcz.__version__}\n" in (folder / about / "METADATA").read_text()


def test_the_wheel_is_for_every_machine(package: tuple[str, Path]) -> None:
    name, folder = package
    assert name == f"dcz-{dcz.__version__}-py3-none-any.whl"
    assert not list(folder.rglob("*.so"))
    assert (folder / "dcz" / "py.typed").exists()


def test_it_says_so_once(package: tuple[str, Path], tmp_path: Path) -> None:
    program = "import dcz; dcz.save({}); dcz.save({}); print(dcz.__file__)"
    run = python(package[1], program, XDG_CACHE_HOME=str(tmp_path))
    assert run.returncode == 0 and run.stdout.startswith(str(package[1]))
    assert run.stderr.count("without its C++ kernels and runs in pure Python: correct, but slower") == 1
    quiet = python(package[1], program, DCZ_KERNELS="pure", XDG_CACHE_HOME=str(tmp_path / "new"))
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
