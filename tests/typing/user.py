"""A user's script, checked and never run: `test_typing.py` compares the types that mypy and pyright reveal with those
in the comments."""

from pathlib import Path

import numpy as np

import dcz

path = Path("model.dcz")
weights = {"w": np.zeros((4, 4), np.float32)}

reveal_type(dcz.save_file(weights, path))  # None
reveal_type(dcz.save(weights))  # bytes
reveal_type(dcz.load_file(path))  # dict[str, ndarray[tuple[Any, ...], dtype[Any]]]
reveal_type(dcz.load(b""))  # dict[str, ndarray[tuple[Any, ...], dtype[Any]]]
reveal_type(dcz.save_sharded(weights, path))  # str

reader = dcz.open(path)
reveal_type(reader)  # Reader | ShardedReader
with reader as model:
    reveal_type(model.get_tensor("w"))  # ndarray[tuple[Any, ...], dtype[Any]]
    reveal_type(model["w"])  # ndarray[tuple[Any, ...], dtype[Any]]
    reveal_type(model.get_slice("w"))  # TensorSlice
    reveal_type(model.get_slice("w")[1:])  # ndarray[tuple[Any, ...], dtype[Any]]
    reveal_type(model.info("w"))  # TensorInfo
    reveal_type(model.info("w").layout)  # Layout | None
    reveal_type(model.metadata)  # Mapping[str, object]
    reveal_type(model.keys())  # KeysView[str]

with dcz.safe_open(path, "numpy") as file:
    reveal_type(file)  # safe_open
    reveal_type(file.keys())  # list[str]
    reveal_type(file.get_tensor("w"))  # Any

reveal_type(dcz.verify(path))  # Verified
reveal_type(dcz.compare(path))  # StorageReport
reveal_type(dcz.compare(path).total("auto").total)  # int
reveal_type(dcz.save_delta(weights, path, base=weights))  # Saved
reveal_type(dcz.apply_delta(weights, path))  # Applied
reveal_type(dcz.prune(weights, density=0.5).tensors)  # dict[str, ndarray[tuple[Any, ...], dtype[Any]]]
