"""Entropy-constrained clustering: least WCSS + lambda * Huffman bits (Choi, El-Khamy and Lee, arXiv 1612.01543).

A weight goes not to the nearest centroid but to that of least squared distance + lambda * code length. Of two
neighbours the frequent one, whose code is short, takes more; clusters that are not worth their code die out. As the
square of the weight itself is the same for all, what is compared are straight lines, and the clusters are ranges.
A centroid of exactly 0 stays where it is: weights that go to it are zeros, which every layout stores well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dcz.lossy.flat import dot
from dcz.lossy.lloyd import Partition, wcss
from dcz.lossy.rate import ONE_SYMBOL, code_lengths, ideal_lengths
from dcz.lossy.samples import F64, I64, Samples

# Rounds with whole bits after those with ideal ones.
_HUFFMAN_ROUNDS = 64
# Improvement below which a round is the last: later ones move edges by single weights.
_SETTLED = 1e-9


@dataclass(frozen=True, slots=True)
class _State:
    centroids: F64
    edges: F64
    cuts: I64
    cost: float


def entropy_constrained(samples: Samples, start: Partition, price: float, max_iter: int) -> tuple[Partition, F64]:
    """The partition and the edges between its clusters, from the clusters of `start`. `price` is lambda, in squares
    of weights per bit: first with ideal code lengths, then with those of Huffman's code."""
    state, iterations, converged = _settle(samples, start.centroids, start.cuts, price, ideal_lengths, max_iter)
    if len(state.centroids) <= ONE_SYMBOL:
        lengths = code_lengths(samples.masses(state.cuts))
        cost = _cost(samples, state.centroids, state.cuts, price, lengths)
        whole, more, _ = _settle(
            samples, state.centroids, state.cuts, price, code_lengths, min(max_iter, _HUFFMAN_ROUNDS)
        )
        iterations += more
        if whole.cost < cost:
            state = whole
    alive = np.flatnonzero(samples.masses(state.cuts) > 0)  # those of weights; others are best only where none are
    cuts = np.append(state.cuts[alive], samples.n)
    return Partition(state.centroids[alive], cuts, iterations, converged), state.edges[alive[:-1]]


def _settle(
    samples: Samples, centroids: F64, cuts: I64, price: float, code: Callable[[F64], F64], rounds: int
) -> tuple[_State, int, bool]:
    """Rounds of code lengths, edges and means, each of which can only lower the cost."""
    best: _State | None = None
    for iteration in range(1, rounds + 1):
        masses = samples.masses(cuts)
        lengths = code(masses)
        alive = np.flatnonzero(masses > 0)
        centroids, lengths = centroids[alive], lengths[alive]
        on, edges = envelope(centroids, price * lengths)
        cuts = samples.cuts(edges)
        masses, moments = samples.masses(cuts), samples.moments(cuts)
        kept = centroids[on]
        centroids = np.where((masses > 0) & (kept != 0), moments / np.where(masses > 0, masses, 1), kept)
        cost = _cost(samples, centroids, cuts, price, code(masses))
        found = _State(centroids, edges, cuts, cost)
        if best is not None and cost >= best.cost * (1 - _SETTLED):
            return (best if best.cost <= cost else found), iteration, True
        best = found
    assert best is not None
    return best, rounds, False


def _cost(samples: Samples, centroids: F64, cuts: I64, price: float, lengths: F64) -> float:
    masses = samples.masses(cuts)
    bits = dot(masses[masses > 0], lengths[masses > 0])
    return wcss(samples, centroids, cuts) + price * bits


def envelope(centroids: F64, prices: F64) -> tuple[I64, F64]:
    """Which clusters are best for some weight, where (x - centroid)^2 + price is the least, and the edges between
    them. One whose range between its neighbours is empty is best nowhere, whatever the others do."""
    on = np.arange(len(centroids))
    while True:
        c, p = centroids[on], prices[on]
        with np.errstate(divide="ignore", invalid="ignore"):
            edges = (c[:-1] + c[1:]) / 2 + (p[1:] - p[:-1]) / (2 * (c[1:] - c[:-1]))
        edges = np.where(c[1:] > c[:-1], edges, np.where(p[1:] < p[:-1], -np.inf, np.inf))
        low = np.concatenate([[-np.inf], edges])
        high = np.concatenate([edges, [np.inf]])
        lost = low >= high
        if not lost.any():
            return on, edges
        on = on[~lost]
