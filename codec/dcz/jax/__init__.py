"""The JAX integration: pytrees of arrays, Flax's and others', by path. `pip install 'dcz[jax]'`.

Functions are those of `safetensors.flax`; the options of `dcz.save_file` and `dcz.load_file` carry over.
"""

from dcz.extras import require

require("jax", "jax", "dcz.jax")

from dcz.jax.deltas import apply_delta, save_delta
from dcz.jax.models import load_model, save_model
from dcz.jax.tensors import load, load_file, save, save_file

__all__ = ["apply_delta", "load", "load_file", "load_model", "save", "save_delta", "save_file", "save_model"]
