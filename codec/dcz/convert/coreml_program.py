"""Find and parse the program of a Core ML model."""

from __future__ import annotations

import json
import logging
import os
import warnings
from types import ModuleType
from typing import Any, TypeAlias

from dcz.errors import FormatError, LimitError, UnsupportedError
from dcz.extras import require

Message: TypeAlias = Any  # a protobuf message: coremltools has no types

_MAX_MANIFEST = 1 << 20


def protos(path: str | os.PathLike[str]) -> tuple[ModuleType, ModuleType]:
    """Return the modules of coremltools' message types. Its warnings about other libraries are silenced."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = require("coremltools.proto.Model_pb2", "coreml", path)
            return model, require("coremltools.proto.MIL_pb2", "coreml", path)
    finally:
        logger.setLevel(level)


def program_file(path: str) -> str:
    """Return the path of the program, which the manifest of a package names."""
    if not os.path.isdir(path):
        return path
    manifest = os.path.join(path, "Manifest.json")
    if not os.path.isfile(manifest):
        raise FormatError(f"{path}: not a Core ML package (it has no Manifest.json)")
    if os.path.getsize(manifest) > _MAX_MANIFEST:
        raise LimitError(f"{manifest}: {os.path.getsize(manifest)} bytes; the limit is {_MAX_MANIFEST}")
    try:
        with open(manifest, encoding="utf-8") as file:
            document = json.load(file)
        inside = document["itemInfoEntries"][document["rootModelIdentifier"]]["path"]
        found = os.path.join(path, "Data", inside)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{manifest}: does not name a model ({error!r:.80})") from None
    if "\0" in found or not os.path.realpath(found).startswith(os.path.join(os.path.realpath(path), "")):
        raise FormatError(f"{manifest}: {inside!r:.80} is outside the package; name a model in it")
    return found


def read_program(proto: ModuleType, file: str, path: str) -> Message:
    """Return the ML program of a model's file; errors name `path`."""
    from google.protobuf.message import DecodeError

    model = proto.Model()
    with open(file, "rb") as stream:
        data = stream.read()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise FormatError(f"{path}: not a Core ML model, or cut off ({error})") from None
    kind = model.WhichOneof("Type")
    if kind != "mlProgram":
        what = "not a Core ML model" if kind is None else f"a Core ML model of the kind {kind}"
        raise UnsupportedError(f"{path}: {what}; weights of ML programs are read: convert it to one")
    return model.mlProgram
