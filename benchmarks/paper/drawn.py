"""LeNet-300-100 on digits made by `strokes`, trained, pruned and clustered as `lenet` does it, for the page in
`codec/js/digits` that classifies what is drawn on it. No third party's images are in it.

    python -m benchmarks.paper.drawn [--out FOLDER]

With DCZ_DATA, it also says how many of MNIST's test digits the network gets right, which it has never seen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

import dcz

from . import digits, strokes
from .networks import LeNet300100
from .stages import Schemes, filled
from .training import tested
from .training_schedule import Course, Level, dense, pruned, shared

_TRAIN, _TEST = 24_000, 4_000
# Fewer weights than on real digits are enough.
_ROUNDS = ({"ip1": 0.06, "ip2": 0.12, "ip3": 0.4}, {"ip1": 0.02, "ip2": 0.06, "ip3": 0.26})
_SCHEMES: Schemes = {
    **{f"{name}.weight": {"n_bits": 4, "entropy": 0.01} for name in ("ip1", "ip2", "ip3")},
    **{f"{name}.bias": {"n_bits": 4} for name in ("ip1", "ip2")},
}
_COURSE = Course(
    kind=LeNet300100, dense_epochs=20, share_epochs=4, control=0, control_seeds=0, bits={},
    levels=(Level("2% of ip1", _ROUNDS, 8, ()),),
)  # fmt: skip
_FOLDER = Path(__file__).parents[2] / "codec" / "js" / "digits"


def made(train: int, test: int) -> digits.Digits:
    """Digits of two seeds: to train on, and to test on."""
    parts = []
    for count, seed in ((train, 1), (test, 2)):
        images, labels = strokes.images(count, seed)
        parts += [torch.from_numpy(images)[:, None], torch.from_numpy(labels)]
    return digits.Digits("digits made of strokes", *parts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the network of the page that classifies drawn digits.")
    parser.add_argument("--out", type=Path, default=_FOLDER)
    parser.add_argument("--quick", action="store_true", help="a tiny run that shows the parts work")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = made(*((256, 64) if options.quick else (_TRAIN, _TEST)))
    what = _COURSE.quick() if options.quick else _COURSE
    network = shared(what, data, 0, 1, _SCHEMES)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "lenet-300-100.dcz"
    dcz.save_file(network, path, portable=True)
    tests = {"made digits held out": data}
    found = digits.load()
    if found.source.startswith("MNIST"):
        tests[found.source] = replace(found, held_out_images=found.images, held_out_labels=found.labels)
    for title, test in tests.items():
        for name, model in (
            ("dense", dense(what, data, 0)),
            ("pruned", pruned(what, data, 0)),
            ("clustered", filled(LeNet300100, network)),
        ):
            print(f"{title}: {name} {tested(model, test)[0]:.2f}% right")
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
