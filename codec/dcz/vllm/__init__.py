"""The vLLM plug-in: `--load-format dcz`, and files of differences as its patches of checkpoint weights.

vLLM finds `register` by the entry point that installing dcz brings.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, BinaryIO

from dcz.extras import require

__all__ = ["register", "weight_patches"]


def register() -> None:
    """Registers the load format `dcz` with vLLM, which calls this in each of its processes."""
    import_module("dcz.vllm.loader")


def weight_patches(
    file: str | os.PathLike[str] | bytes | memoryview | BinaryIO,
    *,
    base: Mapping[str, Any] | None = None,
    max_bytes: int | None = None,
) -> Any:
    """The changes of a file of differences as two lists of vLLM's `CheckpointWeightPatch`, `sparse` and `dense`; see
    `dcz.torch.weight_patches`, whose arguments, checks and errors these are.

    `load_checkpoint_weight_patches(model, patches)` of vLLM takes one list at a time, and changes a model that is being
    served without undoing anything where it fails. What this function returns has been checked as a whole.

    Raises:
        MissingLibraryError: vLLM is not installed, or is older than these patches.
    """
    from dcz.torch.patches import WeightPatches
    from dcz.torch.patches import weight_patches as patches_of

    module = require("vllm.model_executor.model_loader.checkpoint_weight_patch", "vllm", "dcz.vllm.weight_patches")
    found = patches_of(file, base=base, max_bytes=max_bytes)
    return WeightPatches(*([module.CheckpointWeightPatch(*patch) for patch in patches] for patches in found))
