"""`from_pretrained` for folders of dcz files."""

from __future__ import annotations

import copy
import os
from typing import Any

import torch
import transformers

from dcz.container.opening import open_file
from dcz.errors import DczError
from dcz.hub.folders import HUB_OPTIONS, dcz_weights, local_folder
from dcz.text import plural
from dcz.transformers.files import load_from_files
from dcz.transformers.names import check_config, check_trust, quantized_by_files
from dcz.transformers.states import stored_tensors

# The classes of each library by their base, most special first: a class of diffusers may derive from transformers'.
_BASES = {
    "sentence_transformers": ("SentenceTransformer", "CrossEncoder", "SparseEncoder"),
    "peft": ("PeftModel",),
    "diffusers": ("DiffusionPipeline", "ModelMixin", "AutoModel"),
    "transformers": ("PreTrainedModel",),
}


def from_pretrained(
    model_class: type, folder: str | os.PathLike[str], *arguments: Any, threads: int | None = None, **options: Any
) -> Any:
    """Loads a model from a folder that `dcz pack FOLDER` or `save_pretrained` made, as its class's own
    `from_pretrained` would from the folder before.

    A model of transformers takes each tensor from the file when it puts it in its place, by the `state_dict` of
    `PreTrainedModel.from_pretrained`: `dtype`, `device_map`, quantization and ties are the library's own, and nothing
    is written. With the file's dtype the peak of memory is the model; a cast adds the tensors being cast (four
    threads, or one with `HF_DEACTIVATE_ASYNC_LOAD=1`). The other libraries, weights that torchao has
    quantized and shards of a variant are read from files alone: they are unpacked to a temporary folder first, see
    `dcz.hub.unpacked`.

    Args:
        model_class: an `AutoModel...` or a model's class of transformers; a pipeline or model of diffusers;
            `SentenceTransformer`, `CrossEncoder` or `SparseEncoder`; `PeftModel`, whose base follows the folder.
        folder: a folder, or `user/repo` on the hub; of a repo, weights in other formats and code are not downloaded.
        arguments, options: those of the class's own `from_pretrained`. `trust_remote_code` is refused.
        threads: of the library's temporary folder, as in `dcz.load_file`.

    Raises:
        DczError: a folder without dcz weights, configuration or a file of the index; a class that is not for this
            configuration, tensors of other shapes, a wrong base of an adapter; names of code in a file. Damaged files:
            see `dcz.errors`.

    >>> import tempfile, torch, transformers, dcz.transformers
    >>> config = transformers.BertConfig(
    ...     hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)
    >>> model, folder = transformers.BertModel(config), tempfile.mkdtemp()
    >>> dcz.transformers.save_pretrained(model, folder)
    >>> again = dcz.transformers.from_pretrained(transformers.AutoModel, folder)
    >>> torch.equal(again.pooler.dense.weight, model.pooler.dense.weight)
    True
    """
    check_trust(options)
    library = _library_of(model_class)
    hub = {name: options.pop(name) for name in HUB_OPTIONS if name in options}
    if library == "sentence_transformers" and "cache_folder" in options:
        hub["cache_dir"] = options.pop("cache_folder")
    subfolder = options.pop("subfolder", "") or ""
    place = local_folder(folder, subfolder, **hub)
    # The index of a variant's shards keeps its name, which only the library knows how to read.
    variant = os.path.join(place, f"model.safetensors.index.{options.get('variant')}.json")
    if library == "transformers" and not quantized_by_files(place) and not os.path.isfile(variant):
        return _from_state_dict(model_class, folder, place, arguments, options)
    name = os.path.join(os.fspath(folder), subfolder) if subfolder else os.fspath(folder)
    return load_from_files(library, model_class, place, name, arguments, options, threads)


def _library_of(model_class: type) -> str:
    """The library of a class, found without importing any."""
    import sys

    if not isinstance(model_class, type):
        raise DczError(f"model_class: expected a class, found {model_class!r:.80}")
    for library, names in _BASES.items():
        module = sys.modules.get(library)
        bases = tuple(base for name in names if isinstance(base := getattr(module, name, None), type)) if module else ()
        if issubclass(model_class, bases):
            return library
    if _is_auto(model_class):
        return "transformers"
    raise DczError(
        f"model_class: {model_class.__module__}.{model_class.__qualname__} is not a class of models of "
        f"{', '.join(_BASES)}; dcz.hub.unpacked lends a folder to any library"
    )


def _is_auto(model_class: type) -> bool:
    """Whether this is one of transformers' `AutoModel` classes, which choose a model's class by its configuration."""
    name = model_class.__name__
    return name.startswith("AutoModel") and getattr(transformers, name, None) is model_class


def _from_state_dict(
    model_class: Any, folder: object, place: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    weights = dcz_weights(place, options.pop("variant", None))
    config = options.pop("config", None)
    if not isinstance(config, transformers.PreTrainedConfig):
        if config is None and _is_auto(model_class):
            check_config(place)
        config, options = _config(model_class, config or place, options)
    model_class, config = _concrete(model_class, config, place)
    wants_info = options.pop("output_loading_info", False)
    allows_mismatches = options.pop("ignore_mismatched_sizes", False)
    if "generation_config" not in options and os.path.isfile(os.path.join(place, "generation_config.json")):
        options["generation_config"] = transformers.GenerationConfig.from_pretrained(place)
    with open_file(weights) as reader:
        state = stored_tensors(reader)
        try:
            model, info = model_class.from_pretrained(
                None, *arguments, config=config, state_dict=state, output_loading_info=True,
                ignore_mismatched_sizes=True, **options,
            )  # fmt: skip
        except (AttributeError, KeyError, TypeError) as error:
            raise _does_not_fit(place, model_class, f"{type(error).__name__}: {error}") from error
        stored = len(state)
    if info["mismatched_keys"] and not allows_mismatches:
        name, found, wanted = sorted(info["mismatched_keys"])[0]
        more = f", and {len(info['mismatched_keys']) - 1} more" if len(info["mismatched_keys"]) > 1 else ""
        raise _does_not_fit(place, model_class, f"tensor {name!r} is {tuple(found)}, the model's {tuple(wanted)}{more}")
    if stored and len(info["unexpected_keys"]) >= stored:
        raise _does_not_fit(place, model_class, f"none of the {plural(stored, 'tensor')} is one of the model's")
    model.config._name_or_path = model.name_or_path = os.fspath(folder)  # type: ignore[call-overload]
    return (model, info) if wants_info else model


def _config(model_class: Any, place: str | os.PathLike[str], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The configuration, and the options that are not in it."""
    kind = transformers.AutoConfig if _is_auto(model_class) else model_class.config_class
    mine = {name: value for name, value in options.items() if name not in ("dtype", "torch_dtype")}
    kept = {name: value for name, value in options.items() if name not in mine}
    if kind is transformers.AutoConfig:
        mine["trust_remote_code"] = False
    else:
        found, _ = transformers.PreTrainedConfig.get_config_dict(place)
        _check_type(model_class, found, place)
    config, left = kind.from_pretrained(place, return_unused_kwargs=True, **mine)
    return config, {**left, **kept}


def _check_type(model_class: Any, document: dict[str, Any], place: object) -> None:
    """Refuse the configuration of another kind of model, which transformers only warns of."""
    wanted, found = model_class.config_class.model_type, document.get("model_type")
    parts = [value.get("model_type") for value in document.values() if isinstance(value, dict)]
    if found is not None and wanted not in (found, *parts):
        raise DczError(
            f"{place}: the configuration is of a {found!r:.40} model, and {model_class.__name__} is for {wanted!r}; "
            "use AutoModel, or the class of that model"
        )


def _concrete(model_class: Any, config: Any, place: str) -> tuple[Any, Any]:
    """The class that an `AutoModel` class chooses for a configuration, and the configuration it is made from."""
    if not _is_auto(model_class):
        return model_class, config
    try:
        with torch.device("meta"):
            made = model_class.from_config(copy.deepcopy(config), trust_remote_code=False)
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        raise DczError(
            f"{place}: {model_class.__name__} has no model for a {config.model_type!r:.40} configuration; use "
            "AutoModel or a class for what this model does"
        ) from None
    found = type(made)
    return found, config if isinstance(config, found.config_class) else config.get_text_config()


def _does_not_fit(place: str, model_class: type, why: str) -> DczError:
    return DczError(f"{place}: the weights do not fit {model_class.__name__}: {why}; use the class of that model")
