"""Models of libraries that read files alone: the weights are unpacked for as long as they load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from dcz.errors import DczError
from dcz.hub.staging import unpacked
from dcz.transformers.names import check_config, check_modules, check_pipeline


def load_from_files(
    library: str,
    model_class: Any,
    place: str,
    name: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    threads: int | None,
) -> Any:
    """Unpack the folder `place`, and let the library load it. What the library remembers of the temporary folder's path
    becomes `name`."""
    if library == "diffusers":
        check_pipeline(place)
    elif library == "transformers":
        check_config(place)
    elif library == "sentence_transformers":
        check_modules(place)
    elif not arguments or not isinstance(arguments[0], torch.nn.Module):
        raise DczError(f"{model_class.__name__}: an adapter needs its base; give the model after the folder")
    with unpacked(place, threads=threads) as lent:
        loaded = _load(library, model_class, place, lent, arguments, options)
        for part in _parts(loaded):
            _rename(part, lent, name)
    return loaded


def _load(
    library: str, model_class: Any, place: str, lent: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    if library == "sentence_transformers":
        return model_class(lent, *arguments, **options)
    if library in ("diffusers", "transformers"):
        return model_class.from_pretrained(lent, *arguments, **options)
    base, *others = arguments
    try:
        return model_class.from_pretrained(base, lent, *others, **options)
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())[:300]
        raise DczError(
            f"{place}: the adapter does not fit the base {type(base).__name__}: {text}; its adapter_config.json says "
            "what it was made for"
        ) from error


def _parts(loaded: Any) -> Iterator[Any]:
    """The components of a pipeline, the modules of a model, and these themselves."""
    first = loaded[0] if isinstance(loaded, tuple) else loaded  # the other is a report
    for each in (first, *getattr(first, "components", {}).values()):
        yield each
        if isinstance(each, torch.nn.Module):
            yield from each.modules()


def _rename(part: Any, lent: str, name: str) -> None:
    """Give a part and its configuration the path that was asked for in place of the temporary one."""
    config = getattr(part, "config", None)
    for owner, field in ((config, "_name_or_path"), (part, "name_or_path")):
        path = getattr(owner, field, None)
        if not isinstance(path, str) or not path.startswith(lent):
            continue
        path = name + path[len(lent) :]
        if owner is config and hasattr(part, "register_to_config"):  # of diffusers: configurations are frozen
            part.register_to_config(_name_or_path=path)
        else:
            setattr(owner, field, path)
