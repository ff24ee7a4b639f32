"""`save_pretrained` to folders of dcz files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dcz.convert.folder import convert_folder
from dcz.convert.folder_contents import contents
from dcz.convert.shards import parse_size
from dcz.errors import DczError
from dcz.io import temporary


def save_pretrained(
    model: Any,
    folder: str | os.PathLike[str],
    recipe: Mapping[str, object] | str | None = None,
    *,
    profile: str = "auto",
    threads: int | None = None,
    keep_nonfinite: bool = False,
    **options: Any,
) -> None:
    """Writes what `model.save_pretrained(folder)` writes, with the weights in dcz files.

    The library writes its own files to a temporary folder beside the new one, which is then packed: names, shards,
    configurations and subfolders are the library's. That takes the space of the unpacked model until it is packed, and
    one tensor of memory beside the model.

    Args:
        model: of transformers, diffusers, sentence-transformers or PEFT: anything with a `save_pretrained`.
        folder: made where there is none; files of the same names are replaced. It may not hold weights in other
            formats, which libraries would prefer.
        recipe: prune and cluster the tensors by it, as in `dcz.compress`; by default no value is changed.
        profile, threads: as in `dcz.save_file`.
        keep_nonfinite: as in `dcz.compress`.
        options: of the model's own `save_pretrained`; `max_shard_size` among them. `push_to_hub` is refused: it would
            send the unpacked files.

    Raises:
        DczError: a model without `save_pretrained`, weights of other formats in the folder, an invalid recipe.
        UnsupportedError: a tensor that cannot be stored.

    >>> import os, tempfile, transformers, dcz.transformers
    >>> config = transformers.BertConfig(
    ...     hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)
    >>> folder = tempfile.mkdtemp()
    >>> dcz.transformers.save_pretrained(transformers.BertModel(config), folder)
    >>> sorted(os.listdir(folder))
    ['config.json', 'model.dcz']
    """
    save = getattr(model, "save_pretrained", None)
    if not callable(save):
        raise DczError(f"{type(model).__name__} has no save_pretrained; dcz.hub.save_model writes any torch module")
    if options.get("push_to_hub"):
        raise DczError(
            "push_to_hub: would send the unpacked files; save first, then call "
            "huggingface_hub.upload_folder(folder_path=..., repo_id=...)"
        )
    size = options.get("max_shard_size")
    shard_size = parse_size(size, "max_shard_size") if isinstance(size, str) else size
    target = os.path.abspath(folder)
    if os.path.exists(target):
        _check_target(target)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    scratch = temporary.new_name(target + ".unpacked")
    plain = os.path.join(scratch, os.path.basename(target))  # libraries write a folder's name into model cards
    os.mkdir(scratch)
    try:
        save(plain, **options)
        convert_folder(
            plain, target, ".dcz", profile=profile, threads=threads, replace=True, recipe=recipe,
            keep_nonfinite=keep_nonfinite, shard_size=None if recipe is None else shard_size,
        )  # fmt: skip
    except BaseException as error:
        temporary.rename_in(error, plain, target)
        raise
    finally:
        temporary.remove(scratch)


def _check_target(folder: str) -> None:
    if not os.path.isdir(folder):
        raise DczError(f"{folder}: a file; name a folder")
    others = [each.path for each in contents(folder, ".dcz").weights if each.extension != ".dcz"]
    if others:
        raise DczError(
            f"{folder}: has {others[0]}, which libraries would load instead; name another folder, or remove it"
        )
