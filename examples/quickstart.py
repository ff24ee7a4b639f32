"""Save, load and look: a pruned and clustered network in a file of a thirtieth of its size.

python quickstart.py
"""

import tempfile
from pathlib import Path

import numpy as np

import dcz

rng = np.random.default_rng(0)
trained = {"fc1.weight": rng.laplace(size=(512, 784)).astype("float32"), "fc1.bias": np.zeros(512, "float32")}

# Rounding is a step of its own: a tenth of the weights stay, and they share 32 values.
small = dcz.compress(trained, {"density": 0.1, "n_bits": 5})

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.dcz"
    dcz.save_file(small, path, {"trained": "never"})
    dense = sum(array.nbytes for array in small.values())
    print(f"{dense:,} bytes of weights, {path.stat().st_size:,} bytes of file")

    loaded = dcz.load_file(path)
    assert all(loaded[name].tobytes() == array.tobytes() for name, array in small.items())

    with dcz.open(path) as model:  # lazily: nothing is read but the index, and what is asked for
        print(model.metadata["trained"], list(model), model.get_slice("fc1.weight")[:4, :8].shape)
