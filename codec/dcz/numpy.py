"""The NumPy functions of `dcz`, under the name that `safetensors.numpy` has for its own."""

from __future__ import annotations

from dcz.api import load, load_file, save, save_file

__all__ = ["load", "load_file", "save", "save_file"]
