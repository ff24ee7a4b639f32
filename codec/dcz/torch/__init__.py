"""The PyTorch integration: state dicts and models, saved and loaded bit for bit; pruning and trained quantization.
`pip install 'dcz[torch]'`.

Functions and signatures are those of `safetensors.torch`; the options of `dcz.save_file` and `dcz.load_file` carry
over.
"""

from dcz.extras import require

require("torch", "torch", "dcz.torch")

from dcz.torch.calibration import calibrate
from dcz.torch.deltas import apply_delta, save_delta, undo_delta
from dcz.torch.models import load_model, save_model
from dcz.torch.patches import weight_patches
from dcz.torch.shrinking import shrink
from dcz.torch.sparse import get_csr
from dcz.torch.state_dicts import fuse
from dcz.torch.tensors import load, load_file, save, save_file
from dcz.torch.training import cluster_, finalize_, prune_, resume_

__all__ = [
    "apply_delta",
    "calibrate",
    "cluster_",
    "finalize_",
    "fuse",
    "get_csr",
    "load",
    "load_file",
    "load_model",
    "prune_",
    "resume_",
    "save",
    "save_delta",
    "save_file",
    "save_model",
    "shrink",
    "undo_delta",
    "weight_patches",
]
