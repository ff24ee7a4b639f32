"""The PyTorch face: state dicts and models, saved and loaded bit for bit. `pip install 'dcz[torch]'`.

Functions and signatures are those of `safetensors.torch`; the options of `dcz.save_file` and `dcz.load_file` carry over.
"""

from dcz.extras import require

require("torch", "torch", "dcz.torch")

from dcz.torch.models import load_model, save_model  # noqa: E402 - after the check that torch is there
from dcz.torch.sparse import get_csr  # noqa: E402
from dcz.torch.tensors import load, load_file, save, save_file  # noqa: E402

__all__ = ["get_csr", "load", "load_file", "load_model", "save", "save_file", "save_model"]
