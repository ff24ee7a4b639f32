"""What users see: names, errors, types, docstrings whose examples run, and a core that needs no framework."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import dcz
from dcz import errors
from dcz.kernels import Kernels
from support.kernel_sets import NATIVE_SETS

PACKAGE = Path(dcz.__file__).parent
# Integrations of frameworks, which need not be installed: tests/frameworks tests them alike.
INTEGRATIONS = ("jax", "keras", "mlx", "onnx", "paddle", "tensorflow", "torch")
TOOLS = ("hub", "transformers", "vllm")  # likewise, in tests/integrations
ROOTS = [
    module
    for module in pkgutil.iter_modules(dcz.__path__, "dcz.")
    if module.name.removeprefix("dcz.") not in (*INTEGRATIONS, *TOOLS)
]
MODULES = sorted(
    module.name
    for root in ROOTS
    for module in (root, *pkgutil.walk_packages([str(PACKAGE / root.name[4:])] if root.ispkg else [], f"{root.name}."))
    if not module.name.endswith(("_native", "__main__"))
    and (NATIVE_SETS or module.name != "dcz.kernels.compiled")  # it wraps kernels that a pure install has not
)


def load(name: str) -> ModuleType:
    """A module; the test is skipped where a framework that it integrates is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if "pip install '" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("name", ["dcz", *MODULES])
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = load(name)
    result = doctest.testmod(module, raise_on_error=False, report=True)
    assert result.failed == 0
    assert module.__doc__, f"{name} says nothing of itself"


@pytest.mark.parametrize("name", [name for name in MODULES if (PACKAGE / name[4:].replace(".", "/")).is_dir()])
def test_no_package_hides_a_module_of_its_own(name: str) -> None:
    """`package.module` is the module, not a function of the same name that the package has imported."""
    package = load(name)
    here = Path(str(package.__file__)).parent
    own = {path.stem for path in here.glob("*.py")} | {path.name for path in here.iterdir() if path.is_dir()}
    found = {each: vars(package)[each] for each in own & set(vars(package))}
    assert [each for each, value in found.items() if not isinstance(value, ModuleType)] == []


@pytest.mark.parametrize("name", [name for name in dcz.__all__ if name != "__version__"])
def test_public_names_say_what_they_are(name: str) -> None:
    assert inspect.getdoc(getattr(dcz, name))


@pytest.mark.parametrize(
    "function",
    [
        dcz.save_file,
        dcz.save,
        dcz.load_file,
        dcz.verify,
        dcz.Reader,
        dcz.Writer,
        dcz.compare,
        dcz.save_delta,
        dcz.apply_delta,
        dcz.undo_delta,
        dcz.fold,
        dcz.invert,
        dcz.rebase,
        dcz.DeltaReader,
    ],
)
def test_public_functions_have_an_example(function: object) -> None:
    assert ">>> " in inspect.getdoc(function)


def test_public_names() -> None:
    assert {
        "save",
        "save_file",
        "load",
        "load_file",
        "open",
        "Reader",
        "Writer",
        "verify",
        "prune",
        "cluster",
        "compress",
        "plan",
    } <= set(dcz.__all__)
    assert all(hasattr(dcz, name) for name in dcz.__all__) and sorted(dcz.__all__) == list(dcz.__all__)
    assert isinstance(dcz.open(dcz.save({})), dcz.Reader)


def test_the_error_tree() -> None:
    leaves = {"FormatError", "ChecksumError", "TruncatedError", "UnsupportedError", "LimitError", "BaseError"}
    found = {
        name: each for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, Exception)
    }
    assert set(found) == leaves | {"DczError", "MissingLibraryError"}
    # Whoever imports an integration expects an ImportError, whoever opens a file an error of dcz.
    assert errors.MissingLibraryError.__bases__ == (errors.UnsupportedError, ImportError)
    assert issubclass(errors.DczError, ValueError)
    assert all(found[name].__bases__ == (errors.DczError,) and "Reaction: " in found[name].__doc__ for name in leaves)
    assert set(found) <= set(dcz.__all__)


def public_functions(module: ModuleType) -> list:
    own = [each for each in vars(module).values() if getattr(each, "__module__", None) == module.__name__]
    functions = [each for each in own if inspect.isfunction(each)]
    for each in own:
        if inspect.isclass(each):
            functions += [f for f in vars(each).values() if inspect.isfunction(f)]
    return [f for f in functions if not f.__name__.startswith("_") or f.__name__ == "__init__"]


@pytest.mark.parametrize("name", ["dcz", *MODULES])
def test_everything_public_is_typed(name: str) -> None:
    for function in public_functions(load(name)):
        if "<string>" in function.__code__.co_filename:
            continue  # made by dataclasses
        parameters = [p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")]
        untyped = [p.name for p in parameters if p.annotation is inspect.Parameter.empty]
        assert not untyped, f"{name}.{function.__qualname__}: {untyped}"


def test_types_are_announced() -> None:
    assert (PACKAGE / "py.typed").read_bytes() == b""


@pytest.mark.skipif(not NATIVE_SETS, reason="this install has no compiled kernels")
def test_the_stub_of_the_compiled_kernels_is_current() -> None:
    """As `python -m nanobind.stubgen -m dcz.kernels._native` writes it, but for how it is laid out."""
    stubgen = pytest.importorskip("nanobind.stubgen", reason="needs nanobind (install dcz[test]) to make a stub anew")
    from dcz.kernels import _native

    generator = stubgen.StubGen(_native)
    generator.put(_native)
    committed = (PACKAGE / "kernels" / "_native.pyi").read_text()
    assert ast.dump(ast.parse(generator.get())) == ast.dump(ast.parse(committed))


@pytest.mark.skipif(not NATIVE_SETS, reason="this install has no compiled kernels")
def test_python_and_the_compiled_kernels_state_the_same_constants() -> None:
    from dcz.kernels import _native, interface

    assert _native.constants() == {
        "numbers": {
            name: value for name, value in vars(interface).items() if name.isupper() and isinstance(value, int)
        },
        "statuses": {status.name: status.value for status in interface.Status},
        "job": {name: place for place, name in enumerate(interface.JOB_FIELDS)},
        "change": {name: place for place, name in enumerate(interface.CHANGE_FIELDS)},
    }


def test_kernel_sets_have_the_whole_interface(kernel_set: Kernels) -> None:
    for name in (name for name in vars(Kernels) if not name.startswith("_")):
        assert hasattr(kernel_set, name), name


def test_importing_is_quick_and_needs_no_framework() -> None:
    """Frameworks, the command line's libraries and safetensors are imported when they are needed, if ever."""
    program = (
        "import sys, dcz, numpy; dcz.load(dcz.save({'w': numpy.arange(9)})); "
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(INTEGRATIONS) == set(dcz._INTEGRATIONS) and set(TOOLS) == set(dcz._TOOLS)
    unwanted = {
        "torch",
        "transformers",
        "huggingface_hub",
        "jax",
        "tensorflow",
        "keras",
        "onnx",
        "safetensors",
        "typer",
        "rich",
        "click",
        "matplotlib",
    }
    assert not unwanted & set(run.stdout.split())


def test_modules_are_imported_without_warnings() -> None:
    integrations = {f"dcz.{name}" for name in dcz._INTEGRATIONS} | {"dcz.numcodecs", "dcz.zarr"}  # frameworks may warn
    own = [name for name in MODULES if ".".join(name.split(".")[:2]) not in integrations]
    program = "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in own)
    environment = {**os.environ, "DCZ_KERNELS": ""}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, env=environment
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_help_and_completion_work_without_extras() -> None:
    """Both ask for every name that `dir` lists: one that cannot be had would be an ImportError."""
    program = (
        "import sys\n"
        "names = 'torch transformers huggingface_hub jax keras tensorflow onnx mlx mlx.core paddle scipy h5py fsspec "
        "numcodecs zarr matplotlib'\n"
        "sys.modules.update(dict.fromkeys(names.split()))\n"
        "import pydoc, rlcompleter, dcz\n"
        "text = pydoc.plain(pydoc.render_doc(dcz))\n"
        "completer = rlcompleter.Completer({'dcz': dcz})\n"
        "found = [completer.complete('dcz.', i) for i in range(20)]\n"
        "print('save_file' in text, None not in found, *(name for name in names.split() if name in dir(dcz)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("True True\n", "")
