"""libdcz as others use it: installed by CMake, found by pkg-config and find_package, from C and from Rust."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.convert import open_model, open_target, transfer
from support.c_programs import ROOT, C, compiler

EXAMPLES = ROOT / "examples" / "c"
VALUES = np.arange(4000, dtype="<f4") % 7

CONSUMER = """
cmake_minimum_required(VERSION 3.20)
project(consumer C)
find_package(dcz 1.0 CONFIG REQUIRED)
add_executable(shared main.c)
target_link_libraries(shared PRIVATE dcz::dcz)
add_executable(static main.c)
target_link_libraries(static PRIVATE dcz::dcz_static)
"""
MAIN = """
#include <dcz.h>
#include <string.h>
int main(void) {
  dcz_file* file;
  dcz_error error;
  return dcz_open_memory(&file, "nothing", 7, 0, &error) != DCZ_FORMAT || strcmp(dcz_status_name(DCZ_OK), "ok");
}
"""


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """Standard output of a program that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def need(*programs: str) -> None:
    """Skips where one of them is not there."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program}")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file with one tensor, part of which zstd encodes."""
    path = tmp_path / "model.dcz"
    dcz.save_file({"w": VALUES, "b": np.tile(np.arange(200, dtype="<f4"), 9)}, path)
    return path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where CMake installs libdcz."""
    need("cmake")
    compiler()
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("prefix")
    run("cmake", "-S", C, "-B", build, "-DCMAKE_C_FLAGS=-Werror", "-DCMAKE_INSTALL_LIBDIR=lib")
    run("cmake", "--build", build)
    run("cmake", "--install", build, "--prefix", prefix)
    return prefix


def test_find_package(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(CONSUMER)
    (tmp_path / "main.c").write_text(MAIN)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={installed}")
    run("cmake", "--build", tmp_path / "build")
    for program in ("shared", "static"):
        run(tmp_path / "build" / program)


def test_pkg_config(installed: Path, tmp_path: Path) -> None:
    need("pkg-config")
    (tmp_path / "main.c").write_text(MAIN)
    found = {"PKG_CONFIG_PATH": str(installed / "lib" / "pkgconfig")}
    flags = run("pkg-config", f"--define-variable=prefix={installed}", "--cflags", "--libs", "dcz", env=found).split()
    run(compiler(), "-o", tmp_path / "main", tmp_path / "main.c", *flags, f"-Wl,-rpath,{installed}/lib")
    run(tmp_path / "main")


def test_exported_symbols(installed: Path) -> None:
    """What dcz.h declares, under a version, and nothing else."""
    need("nm")
    library = installed / "lib" / "libdcz.so"
    if not library.exists():
        pytest.skip("no ELF library")
    lines = [line.split() for line in run("nm", "-D", "--defined-only", library).splitlines()]
    names = {line[-1] for line in lines if line[1] == "T"}
    declared = re.findall(r"^[a-z].*?\b(dcz_\w+)\(", (C / "dcz.h").read_text(), re.MULTILINE)
    assert names == {f"{name}@@DCZ_1" for name in declared}


def test_without_messages(model: Path, tmp_path: Path) -> None:
    """The same statuses; no formats of numbers are linked."""
    need("nm")
    (tmp_path / "main.c").write_text(MAIN.replace("|| strcmp", "|| error.message[0] || strcmp"))
    flags = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-DDCZ_NO_MESSAGES", f"-I{C}")
    run(compiler(), *flags, "-c", "-o", tmp_path / "dcz.o", C / "dcz.c")
    assert "printf" not in run("nm", "-u", tmp_path / "dcz.o")
    run(compiler(), *flags, "-o", tmp_path / "main", tmp_path / "main.c", tmp_path / "dcz.o")
    run(tmp_path / "main")


def test_the_example_in_c(model: Path, tmp_path: Path) -> None:
    program = tmp_path / "sum"
    sources = [EXAMPLES / "sum.c", C / "dcz.c", C / "dcz_zstd.c"]
    run(compiler(), "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{C}", "-o", program, *sources, "-lzstd")
    assert float(run(program, model, "w")) == VALUES.sum()
    assert subprocess.run([program, model, "x"], capture_output=True).returncode == 1


@pytest.fixture(scope="module")
def in_rust(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example in Rust, as a program."""
    need("rustc", "ar")
    folder = tmp_path_factory.mktemp("rust")
    for name in ("dcz", "dcz_zstd"):
        run(compiler(), "-std=c11", "-O1", "-fPIC", "-c", "-o", folder / f"{name}.o", C / f"{name}.c")
    run("ar", "rcs", folder / "libdcz.a", folder / "dcz.o", folder / "dcz_zstd.o")
    program = folder / "sum"
    run("rustc", "-O", "-L", folder, "-l", "static=dcz", "-l", "zstd", "-o", program, EXAMPLES / "sum.rs")
    return program


def test_the_example_in_rust(model: Path, in_rust: Path) -> None:
    assert float(run(in_rust, model, "w")) == VALUES.sum()
    assert subprocess.run([in_rust, model, "x"], capture_output=True).returncode == 1


def test_the_struct_of_the_example_in_rust_is_as_long_as_that_in_c(tmp_path: Path) -> None:
    """dcz_describe writes all of it, so that a shorter one is a stack overrun that may go unseen."""
    (size,) = re.findall(r"size_of::<Tensor>\(\) == (\d+)\)", (EXAMPLES / "sum.rs").read_text())
    (tmp_path / "size.c").write_text(f'#include <dcz.h>\n_Static_assert(sizeof(dcz_tensor) == {size}, "");\n')
    run(compiler(), "-std=c11", f"-I{C}", "-c", "-o", tmp_path / "size.o", tmp_path / "size.c")


@pytest.mark.skipif("DCZ_DATA" not in os.environ, reason="DCZ_DATA names no folder with the published SqueezeNet")
def test_the_published_squeezenet_in_rust(in_rust: Path, tmp_path: Path) -> None:
    source, target = Path(os.environ["DCZ_DATA"]) / "compressed_SqueezeNet.net", tmp_path / "squeezenet.dcz"
    with open_model(source, shapes=source.with_name("SqueezeNet_deploy.prototxt")) as model:
        transfer(model, open_target(target))
    tensors = dcz.load_file(target)
    assert len(tensors) == 52
    for name, array in tensors.items():
        assert float(run(in_rust, target, name)) == np.cumsum(array.ravel().astype(np.float64))[-1], name
