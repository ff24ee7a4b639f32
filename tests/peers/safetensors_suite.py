"""safetensors' own tests, run against dcz by substituting imports: "switching is one import", counted.

    python tests/peers/safetensors_suite.py

The tests are those of the source distribution of the installed version; nothing of it is kept. Each file is run twice:
as it is, which tells what can pass on this machine at all, and with these substitutions:

- public names of `safetensors` and `safetensors.<framework>` are imported from `dcz` and `dcz.<framework>`;
- files are named `.dcz`: a dcz file under a name that ends in `.safetensors` is refused.

Private helpers that some tests import stay those of safetensors; tests that use nothing else are counted apart. The
run fails if a test fails for which `REASONS` has no reason, or passes although it has one."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from outcomes import outcomes
from sdist import unpacked

# safetensors' names of what dcz calls otherwise.
_RENAMED = {"SafetensorError": "DczError", "_safe_open_handle": "safe_open"}
_MODULES = {"flax": "jax"}

HEADER = "compares with, or takes apart, the bytes of a safetensors header"
SHARED = "expects a refusal of tensors that share memory or are not contiguous, which dcz stores"
TEXT = "compares the text or the class of an error; dcz's is its own"
OTHER = "makes safetensors' own TensorSpec"
GPU = "needs a GPU; does not pass with safetensors either"

REASONS = {
    "test_simple.py::TestCase::test_serialization": HEADER,
    "test_simple.py::TestCase::test_serialization_forces_alignment": HEADER,
    "test_simple.py::TestCase::test_serialization_metadata": HEADER,
    "test_simple.py::TestCase::test_serialization_no_big_endian": HEADER,
    "test_pt_comparison.py::TorchTestCase::test_serialization": HEADER,
    "test_pt_comparison.py::TorchTestCase::test_complex": HEADER,
    "test_pt_comparison.py::TorchTestCase::test_in_memory": HEADER,
    "test_pt_model.py::TorchModelTestCase::test_save": HEADER,
    "test_paddle_comparison.py::SaveLoadCase::test_in_memory": HEADER,
    "test_pread_backend.py::PreadBackendTests::test_truncated_header_is_rejected": HEADER,
    "test_pt_comparison.py::SliceTestCase::test_cannot_serialize_a_non_contiguous_tensor": SHARED,
    "test_pt_comparison.py::SliceTestCase::test_cannot_serialize_shared": SHARED,
    "test_pt_model.py::TorchModelTestCase::test_failure": SHARED,
    "test_pt_model.py::TorchModelTestCase::test_difference_with_torch": SHARED,
    "test_pt_comparison.py::TorchTestCase::test_bogus": TEXT,
    "test_pt_comparison.py::TorchTestCase::test_sparse": TEXT,
    "test_pt_comparison.py::TorchTestCase::test_meta_tensor": TEXT,
    "test_simple.py::ErrorsTestCase::test_file_not_found": TEXT,
    "test_simple.py::ReadmeTestCase::test_exception": OTHER,
    "test_paddle_comparison.py::WithOpenCase::test_paddle_tensor_gpu": GPU,
    "test_paddle_comparison.py::WithOpenCase::test_paddle_slice_gpu": GPU,
}


def substituted(source: str) -> str:
    """A test file that imports from dcz what dcz has."""

    def imports(match: re.Match[str]) -> str:
        indent, module, listed = match.groups()
        part = module.partition(".")[2]
        own = importlib.import_module(f"dcz.{_MODULES.get(part, part)}" if part else "dcz")
        out = []
        for each in re.sub(r"[()\s]+", " ", listed).split(","):
            name, _, alias = each.strip().partition(" as ")
            if not name:
                continue
            ours = _RENAMED.get(name, name)
            if name in _RENAMED or (not name.startswith("_") and hasattr(own, ours)):
                out.append(f"{indent}from {own.__name__} import {ours} as {alias or name}")
            else:
                out.append(f"{indent}from {module} import {name} as {alias or name}")
        return "\n".join(out)

    source = re.sub(r"^([ \t]*)from (safetensors[.\w]*) import (\([^)]*\)|[^\n]*)", imports, source, flags=re.M)
    return re.sub(r"\.safetensors\b(?=[\"'])", ".dcz", source)


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tests = unpacked("safetensors", folder) / "bindings" / "python" / "tests"
        results = {}
        for kind in ("as it is", "with dcz"):
            place = folder / kind.replace(" ", "-")
            shutil.copytree(tests, place / "tests")
            for file in sorted((place / "tests").glob("test_*.py")):
                if kind == "with dcz":
                    file.write_text(substituted(file.read_text()))
                found = outcomes(f"tests/{file.name}", place)
                results.update({(kind, f"{file.name}::{name}"): outcome for name, outcome in found.items()})
        private = _private(tests)
    return report(results, private)


def _private(tests: Path) -> set[str]:
    """Tests that use private helpers of safetensors, and nothing that dcz has."""
    out = set()
    for file in tests.glob("test_*.py"):
        for name, body in re.findall(
            r"\n    def (test_\w+)\(self\):\n(.*?)(?=\n    def |\nclass |\Z)", file.read_text(), re.S
        ):
            helpers = re.search(r"_find_shared_tensors|_is_complete|_end_ptr|_remove_duplicate_names|TensorSpec", body)
            public = re.search(r"\b(save|load|save_file\w*|load_file\w*|save_model|load_model|safe_open)\(", body)
            if helpers and not public:
                out.add(f"{file.name}::{name}")
    return out


def report(results: dict[tuple[str, str], str], private: set[str]) -> int:
    """Prints counts and reasons; returns 1 where they are not as `REASONS` says."""
    names = sorted({name for _, name in results})
    runs = [name for name in names if results.get(("with dcz", name)) != "skipped"]
    passed = [name for name in runs if results.get(("with dcz", name)) == "passed"]
    inner = [name for name in passed if re.sub(r"::\w+::", "::", name) in private]
    own = sum(results.get(("as it is", name)) == "passed" for name in runs)
    print(f"{len(names)} tests, {len(names) - len(runs)} of them skipped here (other hardware or systems)")
    print(f"{own} of {len(runs)} pass with safetensors itself")
    print(f"{len(passed)} of {len(runs)} pass with dcz, {len(inner)} of which test private helpers of safetensors")
    wrong = 0
    for reason, count in Counter(REASONS[name] for name in runs if name not in passed and name in REASONS).items():
        print(f"\n{count} fail: {reason}")
        for name in runs:
            if name not in passed and REASONS.get(name) == reason:
                print(f"  {name}")
    for name in runs:
        outcome = results.get(("with dcz", name), "did not run")
        if (outcome == "passed") == (name in REASONS):
            wrong += 1
            print(f"\nUNEXPECTED: {name}: {outcome}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
