"""What is done to each network, and for how long: the paper's densities and bits first, then smaller ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from .checkpoints import kept
from .digits import Digits
from .networks import LeNet5, LeNet300100, Network, build
from .stages import Densities, Schemes, arrays, prune, revived, share
from .training import train


@dataclass(frozen=True)
class Variant:
    """One way to cluster a pruned network."""

    title: str
    schemes: Schemes


@dataclass(frozen=True)
class Level:
    """Densities that a network is pruned to from the level before, and ways to cluster what is left."""

    title: str
    rounds: tuple[Densities, ...]
    epochs: int  # of each round
    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Course:
    """All that is done to one kind of network. `control` is how many epochs the dense one is trained on for comparison,
    and of how many seeds."""

    kind: type[Network]
    dense_epochs: int
    share_epochs: int
    control: int
    control_seeds: int
    bits: Mapping[str, int]  # the paper's
    levels: tuple[Level, ...]

    def quick(self) -> Course:
        """One epoch of everything."""
        levels = tuple(replace(level, epochs=1) for level in self.levels)
        return replace(self, dense_epochs=1, share_epochs=1, control=1, levels=levels)


def _entropy(names: tuple[str, ...], n_bits: int, entropy: float, biases: tuple[str, ...] = ()) -> Schemes:
    schemes: dict[str, dict[str, object]] = {name: {"n_bits": n_bits, "entropy": entropy} for name in names}
    return {**schemes, **{name: {"n_bits": 4} for name in biases}}


_300 = ("ip1.weight", "ip2.weight", "ip3.weight")
_300_BIASES = ("ip1.bias", "ip2.bias")
_5 = ("conv1.weight", "conv2.weight", "ip1.weight", "ip2.weight")
_5_BIASES = ("conv2.bias", "ip1.bias")

COURSES = (
    Course(
        kind=LeNet300100,
        dense_epochs=50,
        share_epochs=5,
        control=45,
        control_seeds=3,
        bits={"ip1": 6, "ip2": 6, "ip3": 6},
        levels=(
            Level(
                "the paper's densities",
                ({"ip1": 0.16, "ip2": 0.18, "ip3": 0.5}, {"ip1": 0.08, "ip2": 0.09, "ip3": 0.26}),
                20,
                (Variant("6 bits, entropy 0.003", _entropy(_300, 6, 0.003)),),
            ),
            Level(
                "5% of ip1",
                ({"ip1": 0.05, "ip2": 0.09, "ip3": 0.26},),
                20,
                (
                    Variant("5 bits, entropy 0.01", _entropy(_300, 5, 0.01)),
                    Variant("4 bits, entropy 0.03, biases too", _entropy(_300, 4, 0.03, _300_BIASES)),
                ),
            ),
            Level(
                "3.5% of ip1",
                ({"ip1": 0.035, "ip2": 0.08, "ip3": 0.26},),
                20,
                (Variant("5 bits, entropy 0.01, biases too", _entropy(_300, 5, 0.01, _300_BIASES)),),
            ),
        ),
    ),
    Course(
        kind=LeNet5,
        dense_epochs=15,
        share_epochs=2,
        control=19,
        control_seeds=1,
        bits={"conv1": 8, "conv2": 8, "ip1": 5, "ip2": 5},
        levels=(
            Level(
                "the paper's densities",
                (
                    {"conv1": 0.8, "conv2": 0.25, "ip1": 0.16, "ip2": 0.38},
                    {"conv1": 0.66, "conv2": 0.12, "ip1": 0.08, "ip2": 0.19},
                ),
                8,
                (Variant("5 bits, entropy 0.003", _entropy(_5, 5, 0.003)),),
            ),
            Level(
                "2% of ip1",
                ({"conv1": 0.5, "conv2": 0.08, "ip1": 0.02, "ip2": 0.15},),
                10,
                (Variant("5 bits, entropy 0.01, biases too", _entropy(_5, 5, 0.01, _5_BIASES)),),
            ),
        ),
    ),
)


def course(kind: type[Network], quick: bool) -> Course:
    found = next(each for each in COURSES if each.kind is kind)
    return found.quick() if quick else found


def dense(course: Course, digits: Digits, seed: int) -> Network:
    """The reference: trained from random weights."""

    def make() -> dict[str, np.ndarray]:
        model = build(course.kind, seed)
        train(model, digits, course.dense_epochs, seed=seed)
        return arrays(model)

    key = ("dense", course.kind.title, course.dense_epochs, digits.source, len(digits.labels), seed)
    return revived(course.kind, kept(key, make))


def control(course: Course, digits: Digits, seed: int) -> Network:
    """The reference trained on, with the same steps as a pruned one but without pruning."""

    def make() -> dict[str, np.ndarray]:
        model = dense(course, digits, seed)
        train(model, digits, course.control, seed=seed + 100)
        return arrays(model)

    key = ("control", course.kind.title, course.dense_epochs, course.control, digits.source, len(digits.labels), seed)
    return revived(course.kind, kept(key, make))


def pruned(course: Course, digits: Digits, seed: int, levels: int = 1) -> Network:
    """The reference after the first `levels` levels of pruning."""

    def make() -> dict[str, np.ndarray]:
        model = dense(course, digits, seed) if levels == 1 else pruned(course, digits, seed, levels - 1)
        level = course.levels[levels - 1]
        for number, densities in enumerate(level.rounds):
            model = prune(model, digits, densities, level.epochs, seed=seed + 100 * levels + 10 * number)
        return arrays(model)

    done = [(level.rounds, level.epochs) for level in course.levels[:levels]]
    key = ("pruned", course.kind.title, course.dense_epochs, done, digits.source, len(digits.labels), seed)
    return revived(course.kind, kept(key, make))


def shared(course: Course, digits: Digits, seed: int, level: int, schemes: Schemes) -> dict[str, np.ndarray]:
    """The weights of the network of a level, clustered by these schemes and fine-tuned."""

    def make() -> dict[str, np.ndarray]:
        model = pruned(course, digits, seed, level)
        return arrays(share(model, schemes, digits, course.share_epochs, seed=seed + 1000 * level))

    done = [(each.rounds, each.epochs) for each in course.levels[:level]]
    key = ("shared", course.kind.title, course.dense_epochs, done, schemes, course.share_epochs)
    return kept((*key, digits.source, len(digits.labels), seed), make)
