"""A planner of your own: the narrowest codebook of each tensor that keeps its error below a bound.

`dcz.plan` weighs tensors against each other; this does not, and is twenty lines.

python custom_planner.py
"""

import numpy as np

import dcz

rng = np.random.default_rng(0)
model = {
    "conv.weight": rng.normal(scale=0.1, size=(64, 32, 3, 3)).astype("float32"),
    "fc.weight": rng.laplace(scale=0.02, size=(256, 512)).astype("float32"),
    "head.weight": rng.uniform(-1, 1, size=(32, 256)).astype("float32"),
}
BOUND = 0.05

recipe: dict[str, dict[str, int]] = {}
for name, weights in model.items():
    for n_bits in range(2, 9):
        rounded = dcz.cluster({name: weights}, n_bits=n_bits).tensors[name]
        error = np.linalg.norm(rounded - weights) / np.linalg.norm(weights)
        if error <= BOUND:
            break
    recipe[name] = {"n_bits": n_bits}
    print(f"{name}: {n_bits} bits, error {error:.3f}")

small = dcz.compress(model, {"tensors": recipe})
report = dcz.compare(small)
dense = sum(array.nbytes for array in model.values())
print(f"{dense:,} bytes of weights, {len(dcz.save(small)):,} bytes of file")
print(", ".join(f"{name}: {report[name].reason}" for name in model))
