"""The PyTorch face: state dicts and models, saved and loaded bit for bit; pruning and trained quantization.
`pip install 'dcz[torch]'`.

Functions and signatures are those of `safetensors.torch`; the options of `dcz.save_file` and `dcz.load_file` carry over.
"""

from dcz.extras import require

require("torch", "torch", "dcz.torch")

from dcz.torch.models import load_model, save_model  # noqa: E402 - after the check that torch is there
from dcz.torch.sparse import get_csr  # noqa: E402
from dcz.torch.tensors import load, load_file, save, save_file  # noqa: E402
from dcz.torch.trained import fuse  # noqa: E402
from dcz.torch.training import cluster_, finalize_, prune_, resume_  # noqa: E402

__all__ = [
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
    "save_file",
    "save_model",
]
