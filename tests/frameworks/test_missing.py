"""An integration without its framework names what to install; one with it has examples that run."""

from __future__ import annotations

import inspect

import pytest

import dcz
from support.frameworks import INTEGRATIONS, integration, run_program

MISSING = """
import sys
sys.modules[{module!r}] = None
import dcz
try:
    {action}
except ImportError as error:
    print(type(error).__name__, error)
"""

EXAMPLES = """
import doctest, importlib, os, pkgutil, warnings
integration = importlib.import_module("dcz.{name}")
found = pkgutil.iter_modules(getattr(integration, "__path__", []), integration.__name__ + ".")
names = [integration.__name__, *(m.name for m in found)]
found = [doctest.testmod(importlib.import_module(name)) for name in names]
assert sum(each.failed for each in found) == 0
print(sum(each.attempted for each in found))
"""

SKELETON = ["load", "load_file", "save", "save_file"]


@pytest.mark.parametrize("name", INTEGRATIONS)
@pytest.mark.parametrize("action", ["import dcz.{name}", "dcz.{name}", "from dcz import {name}"])
def test_a_missing_framework_is_named_with_its_extra(name: str, action: str) -> None:
    module = INTEGRATIONS[name]
    text = run_program(MISSING.format(module=module, action=action.format(name=name)))
    library = module.partition(".")[0]
    assert text == (
        f"MissingLibraryError dcz.{name} needs {library}, which is not installed: pip install 'dcz[{name}]'\n"
    )


def test_missing_scipy_is_named() -> None:
    action = "import numpy; dcz.open(dcz.save({'w': numpy.eye(3)})).get_csr('w')"
    text = run_program(MISSING.format(module="scipy.sparse", action=action))
    assert text == "MissingLibraryError get_csr needs scipy, which is not installed: pip install 'dcz[scipy]'\n"


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_one_skeleton(name: str) -> None:
    own = integration(name)
    models = ["load_weights", "save_weights"] if name == "keras" else ["load_model", "save_model"]
    assert set(own.__all__) >= {*SKELETON, *models}
    carried = set(inspect.signature(dcz.save_file).parameters) - {"tensors", "filename", "portable", "tensor_metadata"}
    for function in (own.save_file, getattr(own, models[1])):
        assert carried <= set(inspect.signature(function).parameters)
    carried = set(inspect.signature(dcz.load_file).parameters) - {"out", "base"}  # of numpy arrays alone
    assert carried <= set(inspect.signature(own.load_file).parameters)
    assert carried - {"names", "filename"} <= set(inspect.signature(getattr(own, models[0])).parameters)
    for public in own.__all__:
        function = getattr(own, public)
        assert inspect.getdoc(function)
        assert all(p.annotation is not p.empty for p in inspect.signature(function).parameters.values())


@pytest.mark.parametrize("name", INTEGRATIONS)
def test_examples_run(name: str) -> None:
    integration(name)
    assert int(run_program(EXAMPLES.format(name=name))) > 2


def test_a_library_that_is_broken_is_named_with_what_is_wrong(tmp_path, monkeypatch) -> None:
    """One error for every kind of library: it is an `ImportError`, and an `UnsupportedError` of dcz."""
    from dcz.extras import require

    (tmp_path / "broken_library.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    message = (
        r"a plot needs broken_library, which cannot be imported \(No module named 'not_there_at_all'\): pip install"
    )
    for kind in (ImportError, dcz.UnsupportedError, dcz.MissingLibraryError):
        with pytest.raises(kind, match=message):
            require("broken_library", "plot", "a plot")
    assert require("json", "none", "nothing").dumps({}) == "{}"
