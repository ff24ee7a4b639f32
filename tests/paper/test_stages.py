"""The experiments' stages do what the pages say of them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip(
    "torch", reason="the experiments train with PyTorch: pip install -r benchmarks/paper/requirements.txt"
)

import dcz
from benchmarks.paper import digits, stages
from benchmarks.paper.accounting import account
from benchmarks.paper.networks import LeNet5, LeNet300100, Network, build
from benchmarks.paper.training import train

DENSITIES = {"ip1": 0.08, "ip2": 0.09, "ip3": 0.26}


@pytest.fixture(scope="module")
def some() -> digits.Digits:
    """Noise with labels: what is learnt does not matter here."""
    draw = torch.Generator().manual_seed(0)
    images, labels = torch.rand(64, 1, 28, 28, generator=draw), torch.arange(64) % 10
    return digits.Digits("noise", images, labels, images, labels)


@pytest.fixture(scope="module")
def sparse(some: digits.Digits) -> Network:
    return stages.prune(build(LeNet300100, 0), some, DENSITIES, 2, seed=0)


@pytest.mark.parametrize("kind", [LeNet300100, LeNet5])
def test_the_networks_have_the_papers_layers(kind: type[Network]) -> None:
    layers = stages.weights(stages.arrays(build(kind, 0)))
    assert {name: array.size for name, array in layers.items()} == {row.name: row.weights for row in kind.rows}


def test_pruning_ends_at_the_densities(sparse: Network) -> None:
    for layer, array in stages.weights(stages.arrays(sparse)).items():
        assert np.count_nonzero(array) == pytest.approx(DENSITIES[layer] * array.size, abs=1)


def test_sharing_keeps_zeros_and_leaves_few_values(sparse: Network, some: digits.Digits) -> None:
    schemes = stages.paper_schemes({"ip1": 6, "ip2": 6, "ip3": 6})
    shared = stages.weights(stages.arrays(stages.share(sparse, schemes, some, 1, seed=0)))
    for layer, array in stages.weights(stages.arrays(sparse)).items():
        assert np.array_equal(shared[layer] != 0, array != 0)
        counted = account(layer, shared[layer])
        assert len(np.unique(shared[layer])) <= 64
        assert counted.weight_pq == 6


def test_codebooks_are_trained(sparse: Network, some: digits.Digits) -> None:
    schemes = {"ip1.weight": {"n_bits": 3}}
    before = stages.arrays(stages.share(sparse, schemes, some, 0, seed=0))["ip1.weight"]
    after = stages.arrays(stages.share(sparse, schemes, some, 1, seed=0))["ip1.weight"]
    assert not np.array_equal(np.unique(before), np.unique(after))
    assert len(np.unique(after)) <= 9


def test_training_is_seeded(some: digits.Digits) -> None:
    made = []
    for _ in range(2):
        model = build(LeNet300100, 3)
        train(model, some, 1, seed=3)
        made.append(dcz.save(stages.arrays(model)))
    assert made[0] == made[1]


def test_pruned_weights_stay_zero_while_training(sparse: Network, some: digits.Digits) -> None:
    model = stages.revived(LeNet300100, stages.arrays(sparse))
    train(model, some, 1, seed=1)
    for layer, array in stages.weights(stages.arrays(sparse)).items():
        assert np.array_equal(stages.weights(stages.arrays(model))[layer] != 0, array != 0)
