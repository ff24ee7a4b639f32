"""The ONNX integration: a model's initializers in a dcz file, beside or instead of those in it.
`pip install 'dcz[onnx]'`.

The options of `dcz.save_file` and `dcz.load_file` carry over.
"""

from dcz.extras import require

require("onnx", "onnx", "dcz.onnx")

from dcz.onnx.calibration import calibrate
from dcz.onnx.models import load_model, save_model
from dcz.onnx.sessions import session
from dcz.onnx.shrinking import shrink
from dcz.onnx.tensors import load, load_file, save, save_file

__all__ = ["calibrate", "load", "load_file", "load_model", "save", "save_file", "save_model", "session", "shrink"]
