"""The hub's mixin for classes of models, with dcz files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelHubMixin

from dcz.errors import DczError
from dcz.hub.models import load_model, save_model


class DczHubMixin(ModelHubMixin, tags=["dcz"]):  # type: ignore[call-arg]
    """A base class that gives a `torch.nn.Module` `save_pretrained`, `from_pretrained` and `push_to_hub` with its
    weights in dcz files: `huggingface_hub.PyTorchModelHubMixin` for dcz.

    The arguments of the class go to `config.json`, and come back from there. `from_pretrained` takes
    `map_location` and `strict` besides; weights become those of the model without a copy.

    >>> import tempfile, torch, dcz.hub
    >>> class Net(torch.nn.Module, dcz.hub.DczHubMixin):
    ...     def __init__(self, width: int = 4) -> None:
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(width, 2)
    >>> folder, net = tempfile.mkdtemp(), Net(width=8)
    >>> net.save_pretrained(folder)
    >>> again = Net.from_pretrained(folder)
    >>> torch.equal(again.layer.weight, net.layer.weight), again.layer.in_features
    (True, 8)
    """

    def _save_pretrained(self, save_directory: Path) -> None:
        model = getattr(self, "module", self)
        if not isinstance(model, torch.nn.Module):
            raise DczError(f"{type(self).__name__}: expected a torch.nn.Module; derive the class from it too")
        save_model(model, save_directory)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | os.PathLike[str] | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str | torch.device = "cpu",
        strict: bool = True,
        **model_kwargs: Any,
    ) -> Any:
        model: Any = cls(**model_kwargs)
        load_model(
            model, model_id, strict=strict, device=map_location, assign=True, revision=revision, cache_dir=cache_dir,
            force_download=force_download, local_files_only=local_files_only, token=token,
        )  # fmt: skip
        return model.eval()
