"""Each framework's own way from numpy's arrays to its tensors and back, found without the code under test."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest

# Each integration, and the module that it imports.
INTEGRATIONS = {
    "jax": "jax",
    "keras": "keras",
    "mlx": "mlx.core",
    "onnx": "onnx",
    "paddle": "paddle",
    "tensorflow": "tensorflow",
    "torch": "torch",
}

# Set where Paddle is the only framework.
OWN_PROCESS = "DCZ_TEST_PADDLE"

# dcz's dtypes that a framework lacks, or that it would narrow as it is set here.
_NARROW = ("F4", "F6_E2M3", "F6_E3M2")
_FNUZ = ("F8_E4M3FNUZ", "F8_E5M2FNUZ")
_SUB_BYTE = ("I4", "U4", "I2", "U2")
_RARE = ("F8_E4M3_IEEE", "F8_E3M4", "F8_E4M3B11FNUZ")
LACKS = {
    "jax": ("F6_E2M3", "F6_E3M2", "F64", "I64", "U64", "C128"),
    "keras": ("F6_E2M3", "F6_E3M2", "F4", "F8_E8M0", *_FNUZ, *_RARE, *_SUB_BYTE, "F64", "I64", "U64", "C128"),  # on JAX
    "mlx": (*_NARROW, "F8_E8M0", "F8_E4M3", "F8_E5M2", *_FNUZ, *_RARE, *_SUB_BYTE, "C128"),
    "onnx": ("F6_E2M3", "F6_E3M2", *_RARE),
    "paddle": (*_NARROW, "F8_E8M0", *_FNUZ, *_RARE, *_SUB_BYTE, "U16", "U32", "U64", "C128"),
    "tensorflow": ("F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3_IEEE", "F8_E3M4"),
    "torch": (*_NARROW, *_RARE, *_SUB_BYTE),
}


def framework(name: str) -> ModuleType:
    """The framework, or a skip that says why; its own warnings on import are not ours."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    module = INTEGRATIONS[name]
    if name == "paddle" and not os.environ.get(OWN_PROCESS):
        pytest.skip(
            "Paddle crashes beside TensorFlow: test_paddle.py runs it in a process of its own", allow_module_level=True
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed; tests/requirements-frameworks.txt has it", allow_module_level=True)


def integration(name: str) -> ModuleType:
    """`dcz.<name>`, or a skip where its framework is missing."""
    framework(name)
    return importlib.import_module(f"dcz.{name}")


def make(name: str, array: np.ndarray) -> object:
    """A tensor with the bits of a C-contiguous array."""
    if name == "torch":
        import torch

        if array.size == 0:
            return torch.empty(array.shape, dtype=getattr(torch, array.dtype.name))
        flat = torch.frombuffer(bytearray(array.tobytes()), dtype=getattr(torch, array.dtype.name))
        return flat.reshape(array.shape)
    if name == "jax":
        import jax.numpy as jnp

        return jnp.array(array)
    if name == "keras":
        import keras

        return keras.ops.convert_to_tensor(array)
    if name == "tensorflow":
        import tensorflow as tf

        return tf.constant(array)
    if name == "onnx":
        from onnx import numpy_helper

        return numpy_helper.from_array(array)
    if name == "mlx":
        import mlx.core as mx

        if array.dtype.name in ("bfloat16", "float64"):
            return mx.array(array.view(f"u{array.itemsize}")).view(getattr(mx, array.dtype.name))
        return mx.array(array)
    import paddle

    if array.dtype.name == "bfloat16":
        return paddle.to_tensor(array.view(np.uint16))
    if array.dtype.name.startswith("float8"):
        return paddle.to_tensor(array.view(np.uint8)).view(array.dtype.name)
    return paddle.to_tensor(array)


def bits(name: str, tensor: object) -> tuple[str, tuple[int, ...], bytes]:
    """A tensor's dtype, as numpy calls it, its shape and its bytes."""
    if name == "torch":
        import torch

        raw = (
            torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor).reshape(-1).view(torch.uint8).numpy().tobytes()
        )
        return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), raw
    if name == "onnx":
        from onnx import numpy_helper

        array = numpy_helper.to_array(tensor)
    elif name == "mlx":
        import mlx.core as mx

        dtype = str(tensor.dtype).removeprefix("mlx.core.")
        if dtype in ("bfloat16", "float64"):
            tensor = tensor.view(mx.uint16 if dtype == "bfloat16" else mx.uint64)
        return dtype, tuple(tensor.shape), np.array(tensor).tobytes()
    elif name == "paddle":
        dtype = tensor.dtype.name.lower() if hasattr(tensor.dtype, "name") else str(tensor.dtype)
        dtype = dtype.removeprefix("paddle.")
        if dtype.startswith("float8"):
            tensor = tensor.view("uint8")
        return dtype, tuple(tensor.shape), tensor.numpy().tobytes()
    elif name == "keras":
        import keras

        array = np.asarray(keras.ops.convert_to_numpy(tensor))
    else:
        array = np.asarray(tensor) if name == "jax" else tensor.numpy()
    array = np.asarray(array)
    return array.dtype.name, array.shape, array.tobytes()


def run_program(program: str, **environment: str) -> str:
    """What a Python program prints that runs in a process of its own; it must not fail."""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout
