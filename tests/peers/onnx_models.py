"""Packs every model that the onnx package ships for backends' tests, and compares all weights bit for bit.

    python tests/peers/onnx_models.py

Each model is packed by the converter and compared with what onnx itself reads: initializers and constants, found here
by a walk of its own. Then it is saved by `dcz.onnx.save_model`, loaded again and compared as a whole. The counts of the
version that the requirements pin are in `onnx_models.json`; others than those end with exit code 1.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
from onnx import numpy_helper

import dcz
import dcz.onnx
from dcz.convert import open_model, open_target, transfer
from dcz.errors import DczError

EXPECTED = Path(__file__).with_suffix(".json")


def tensors(graph: onnx.GraphProto) -> Iterator[np.ndarray]:
    """The values of a graph's tensors as onnx reads them, in no order."""
    for tensor in graph.initializer:
        yield numpy_helper.to_array(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield numpy_helper.to_array(value)
            elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
                yield np.array(value, np.float32)
            elif node.op_type == "Constant" and attribute.name in ("value_int", "value_ints"):
                yield np.array(value, np.int64)
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from tensors(value)


def described(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.name, array.shape, array.tobytes()


def plain(model: onnx.ModelProto) -> bytes:
    """The model with every tensor's elements as bytes, as they may be listed in several ways."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for weight in dcz.onnx.initializers.Weights(copy).values():
        weight.write(weight.read(None))
    return copy.SerializeToString(deterministic=True)


def check(path: Path, folder: Path, counts: Counter) -> None:
    model = onnx.load(path)
    expected = Counter(
        described(array) for array in tensors(model.graph) if array.dtype != object and array.dtype.kind not in "US"
    )
    counts["models"] += 1
    if not expected:
        counts["without weights"] += 1
        return
    with open_model(path) as source:
        moved = transfer(source, open_target(folder / "m.dcz"))
    found = Counter(described(array) for array in dcz.load_file(folder / "m.dcz").values())
    counts["weights"] += sum(expected.values())
    counts["left out"] += len(moved.left_out)
    counts["packed with every bit"] += found == expected
    dcz.onnx.save_model(path, folder / "thin.onnx")
    counts["loaded as they were"] += plain(dcz.onnx.load_model(folder / "thin.onnx")) == plain(model)


def main() -> int:
    root = Path(onnx.backend.test.__file__).parent / "data"
    counts: Counter = Counter()
    for path in sorted(root.rglob("*.onnx")):
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(path, Path(folder), counts)
            except DczError as error:
                counts["refused"] += 1
                print(f"{path.relative_to(root)}: {error}")
    result = {"onnx": onnx.__version__, **counts}
    print(json.dumps(result, indent=2))
    if "--write" in sys.argv:
        EXPECTED.write_text(json.dumps(result, indent=2) + "\n")
        return 0
    wanted = json.loads(EXPECTED.read_text())
    if wanted["onnx"] != onnx.__version__:
        print(f"the counts on record are of onnx {wanted['onnx']}; compare by eye")
        return 0
    return int(result != wanted)


if __name__ == "__main__":
    sys.exit(main())
