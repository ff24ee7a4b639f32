"""Names of code in the configurations of a folder: refused unless the installed libraries know them.

A configuration may name classes and files of code that a library would import. `trust_remote_code` allows that, and
is never implied here: what a folder names must be in the library's own tables.
"""

from __future__ import annotations

import json
import os
from typing import Any

from dcz.errors import DczError, FormatError
from dcz.hub.folders import read_json

CONFIG = "config.json"
_PIPELINE = "model_index.json"
_MODULES = "modules.json"
# Methods of quantization whose loaders open the files; all others are given tensors.
_OF_FILES = ("torchao",)
# The libraries that classes of a pipeline may come from.
_LIBRARIES = ("diffusers", "transformers")


def check_trust(options: dict[str, Any]) -> None:
    """Take `trust_remote_code` out of a call's options, and refuse it."""
    if options.pop("trust_remote_code", None):
        raise DczError(
            "trust_remote_code: code of a repo is never imported here; import the model's class yourself and give it "
            "to from_pretrained"
        )


def check_config(folder: str) -> None:
    """Refuse a folder without the configuration of a model that transformers knows."""
    import transformers

    path = os.path.join(folder, CONFIG)
    if not os.path.isfile(path):
        raise DczError(f"{folder}: no {CONFIG} in it; name the folder of a model")
    document = read_json(path)
    kind = document.get("model_type")
    if isinstance(kind, str) and kind in transformers.CONFIG_MAPPING:
        return
    code = document.get("auto_map")
    if code:
        raise _is_code(path, "auto_map", next(iter(code.values())) if isinstance(code, dict) else code)
    raise DczError(
        f"{path}: model_type: {kind!r:.80} is not a model of transformers {transformers.__version__}; give the class "
        "of the model"
    )


def quantized_by_files(folder: str) -> bool:
    """Return whether the weights are quantized by a library that reads the metadata of safetensors files itself."""
    path = os.path.join(folder, CONFIG)
    parts: list[Any] = [read_json(path)] if os.path.isfile(path) else []
    parts += [value for part in parts for value in part.values()]
    methods = [part.get("quantization_config") for part in parts if isinstance(part, dict)]
    return any(isinstance(method, dict) and method.get("quant_method") in _OF_FILES for method in methods)


def check_pipeline(folder: str) -> None:
    """Refuse a pipeline with a component from anywhere but diffusers and transformers."""
    import diffusers

    path = os.path.join(folder, _PIPELINE)
    if not os.path.isfile(path):
        return  # a single model, or the library's own error
    document = read_json(path)
    if not isinstance(document.get("_class_name"), str):
        raise _is_code(path, "_class_name", document.get("_class_name"))
    for name, value in document.items():
        library = value[0] if isinstance(value, list) and value and not name.startswith("_") else None
        if library is None or library in _LIBRARIES:
            continue
        if not isinstance(library, str) or not hasattr(diffusers.pipelines, library):
            raise _is_code(path, name, library)


def check_modules(folder: str) -> None:
    """Refuse a model of sentence-transformers with a module that is not the library's own."""
    path = os.path.join(folder, _MODULES)
    if not os.path.isfile(path):
        return  # a plain model of transformers
    try:
        with open(path, encoding="utf-8") as file:
            modules = json.load(file)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(modules, list) or not all(isinstance(each, dict) for each in modules):
        raise FormatError(f"{path}: expected a list of objects, found {modules!r:.80}")
    for each in modules:
        kind = each.get("type")
        if not isinstance(kind, str) or not kind.startswith("sentence_transformers."):
            raise _is_code(path, "type", kind)


def _is_code(path: str, field: str, value: object) -> DczError:
    return DczError(
        f"{path}: {field}: {value!r:.80} names code that the installed libraries do not have, and code of a folder is "
        "never imported; import the class yourself and give it to from_pretrained"
    )
