"""The kernels under the address and undefined-behaviour sanitizers: their tests, the corpus of the fuzz targets, then
the campaign of `fuzz.py`.

Builds the package into a folder of its own and runs it with the sanitizers' runtime preloaded (gcc or clang):

    python tests/sanitized.py            # 100,000 hostile jobs for each kernel set
    python tests/sanitized.py 3000       # the short form
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Those that hand kernels whatever there is, good and bad.
TESTS = (
    "exact/test_primitives.py", "exact/test_delta_kernels.py", "exact/test_huffman.py", "exact/test_kernel_sets.py",
    "exact/test_groups.py", "exact/test_round_trip.py", "safe/test_garbled_chunks.py", "safe/test_hostile_layout.py",
    "safe/test_hostile_chunks.py",
)  # fmt: skip


def build(folder: Path) -> None:
    """The package with sanitized kernels, unpacked in `folder`."""
    options = ["--config-settings=cmake.define.DCZ_SANITIZE=ON", "--config-settings=cmake.build-type=Debug"]
    command = [sys.executable, "-m", "pip", "install", str(ROOT), "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, *options, "--target", str(folder)], check=True)
    if not list(folder.glob("dcz/kernels/_native*.so")):
        sys.exit("the sanitized kernels were not built: is there a C++ compiler with its sanitizers?")


def runtime(name: str) -> str:
    """Path of the compiler's runtime library."""
    compiler = os.environ.get("CXX", "c++")
    path = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout
    return path.strip()


def run(folder: Path, *arguments: str) -> None:
    """Python on these arguments, with the package of `folder` and the runtime in front of everything else."""
    program = f"import sys; sys.path.insert(0, {str(folder)!r}); "
    # An editable install of this package would come first.
    program += "sys.meta_path[:] = [f for f in sys.meta_path if not type(f).__module__.startswith('_editable')]; "
    program += "import runpy, dcz; assert dcz.__file__.startswith(sys.path[0]), dcz.__file__; "
    program += "sys.argv = sys.argv[1:]; "
    if arguments[0] == "-m":
        program += "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
        arguments = arguments[1:]
    else:
        program += "sys.path.insert(1, 'tests'); runpy.run_path(sys.argv[0], run_name='__main__')"
    environment = {
        **os.environ,
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        # Python itself leaks at exit; too large an allocation is an error that Python handles.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }
    subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, env=environment, check=True)


def replay(folder: Path) -> None:
    """Each fuzz target over its corpus."""
    for program in sorted(folder.glob("dcz/kernels/fuzz_*")):
        inputs = sorted((ROOT / "tests" / "data" / "corpus" / program.name.removeprefix("fuzz_")).glob("*"))
        if not inputs:
            sys.exit(f"{program.name}: has no corpus")
        program.chmod(0o755)  # a wheel may not keep that it is a program
        print(program.name, end=": ", flush=True)
        subprocess.run([program, *inputs], check=True)


def main() -> None:
    cases = sys.argv[1] if len(sys.argv) > 1 else "100000"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        run(folder, "-m", "pytest", "-p", "no:cacheprovider", *(str(ROOT / "tests" / test) for test in TESTS))
        replay(folder)
        run(folder, "tests/fuzz.py", cases)


if __name__ == "__main__":
    main()
