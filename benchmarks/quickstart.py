"""The main job on weights made here: a pruned and clustered LeNet-300-100, packed, shown, verified and unpacked.

python benchmarks/quickstart.py [FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from suite.models import LENET_300_100, build

import dcz


def main(folder: Path) -> None:
    """Runs the commands a user would type."""
    folder.mkdir(parents=True, exist_ok=True)
    source, packed, back = folder / "lenet.npz", folder / "lenet.dcz", folder / "lenet.safetensors"
    model = build(LENET_300_100, seed=300100, biases=True)
    np.savez(source, **model)
    for command in (
        ["pack", source, packed, "--force"],
        ["inspect", packed],
        ["verify", packed],
        ["unpack", packed, "-o", back, "--force"],
    ):
        print("$ dcz", *(str(part) for part in command), flush=True)
        subprocess.run([sys.executable, "-m", "dcz", *map(str, command)], check=True)
    loaded = dcz.load_file(packed)
    if any(loaded[name].tobytes() != array.tobytes() for name, array in model.items()):
        raise SystemExit("the loaded weights differ from those packed")
    print("every loaded weight has the bits that were packed")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
