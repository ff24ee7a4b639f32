"""The sizes that a comparison tells are the bytes that packing stores."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

import dcz
from dcz import kernels
from dcz.report import crossover
from dcz.report.sizes import KINDS, Size
from dcz.report.storage import KEYS, StorageReport
from dcz.tensor import PROFILES, choose, to_words
from dcz.tensor.encoded import write
from dcz.tensor.streams import Analysis
from support.arrays import LARGE, arrays, large, make_array

DATA = os.environ.get("DCZ_DATA", "")
ROOT = Path(__file__).parents[2]


def check(tensors: dict[str, np.ndarray], report: StorageReport) -> None:
    """Every tensor takes exactly what the report says under every profile."""
    assert [tensor.name for tensor in report.tensors] == sorted(tensors)
    for profile in PROFILES:
        with dcz.open(dcz.save(tensors, profile=profile)) as reader:
            assert sum(reader.info(name).stored for name in tensors) == report.profile(profile)
            for tensor in report.tensors:
                info, told = reader.info(tensor.name), tensor.sizes.profiles[profile]
                assert (told.size.total, told.positions, told.values) == (
                    info.stored,
                    info.layout.positions,
                    info.layout.values,
                )
                book = info.layout.codebook.stored if info.layout.codebook else 0
                assert told.size.codebook == book and told.size.fillers == sum(info.layout.fillers)
                assert (tensor.weights, tensor.nonzeros, tensor.dense) == (info.words, info.nonzeros, info.nbytes)
                if profile == "auto":
                    assert tensor.size("auto") == told.size


@given(array=arrays(most=3000))
def test_any_array_takes_what_the_report_says(array: np.ndarray) -> None:
    check({"w": array}, dcz.compare({"w": array}))


@pytest.mark.parametrize("name", LARGE)
def test_large_arrays_take_what_the_report_says(name: str) -> None:
    check({"w": large(name)}, dcz.compare({"w": large(name)}))


@pytest.mark.parametrize(
    "name", ["pruned and clustered float32", "dense palette float32", "sparse bfloat16", "sparse bytes"]
)
def test_every_coded_layout_takes_what_the_report_says(name: str) -> None:
    """Not only those a profile takes: the smallest of each kind of positions, written."""
    array = large(name)
    tensor = dcz.compare({"w": array})["w"]
    for kind in KINDS:
        analysis = Analysis(to_words(array, "w"))
        best = min(choose.candidates(analysis, [kind]), key=lambda encoding: encoding.cost)
        layout, parts = write(best)
        assert tensor.sizes.huffman[kind].total == sum(map(len, parts)) == layout.stored


def test_fixed_widths_by_hand() -> None:
    """1,000 weights, every 20th of three values: gaps of 20 need a filler in 4 bits (15 zeros each), none in 5."""
    array = np.zeros((10, 100), "<f4")
    array.reshape(-1)[19::20] = np.resize(np.float32([1, 2, 3]), 50)
    tensor = dcz.compare({"w": array})["w"]
    assert tensor.size("dense") == Size(0, 4000)
    assert tensor.size("csr32") == Size(4 * 50 + 4 * 11, 4 * 50) and tensor.size("csr32").total == 4 * (2 * 50 + 10 + 1)
    assert tensor.size("csr4") == Size(50, 13, 12, 50)
    assert tensor.size("csr5") == Size(32, 13, 12, 0)
    assert tensor.size("csr8") == Size(50, 13, 12, 0)
    assert tensor.size("bitmap") == Size(125, 13, 12)
    assert tensor.size("palette") == Size(0, 250, 16)
    assert tensor.clusters == 3 and tensor.sizes.distinct == 3
    assert tensor.paper in ("relative4", "relative5")
    stages = tensor.stages
    assert stages["P"].weight_bits == 32 and stages["P+Q"].weight_bits == 8 * 13 / 50
    assert stages["P"].size > stages["P+Q"].size > stages["P+Q+H"].size


def test_entropy_is_that_of_position_and_value_and_the_codebook() -> None:
    array = make_array(3, "F32", (300, 400), 0.2, 12, "float")
    tensor = dcz.compare({"w": array})["w"]
    words = array.view("<u4").reshape(-1)
    p = np.unique(words, return_counts=True)[1] / words.size  # zero is one more symbol: the same by the chain rule
    whole = -(p * np.log2(p)).sum() * words.size / 8
    entropy = tensor.size("entropy")
    assert entropy.codebook == tensor.size("bitmap+huffman").codebook > 0
    assert abs(entropy.positions + entropy.values - whole) <= 2
    assert entropy.total <= min(tensor.size(f"{kind}+huffman").total for kind in ("csr8", "bitmap", "palette"))


def test_entropy_counts_the_codebook_where_every_value_is_another() -> None:
    """Dense noise: the values alone, drawn from 16 distinct thousands, would seem to take half."""
    array = np.random.Generator(np.random.PCG64(2)).standard_normal((128, 128)).astype("<f4")
    tensor = dcz.compare({"w": array})["w"]
    assert 0.75 < tensor.size("entropy").total / tensor.dense < tensor.auto.size.total / tensor.dense + 0.01


@pytest.mark.parametrize("distinct", [3, 200, 1000, 5000])
def test_no_layout_of_independent_weights_is_smaller_than_their_entropy(distinct: int) -> None:
    rng = np.random.Generator(np.random.PCG64(distinct))
    book = rng.standard_normal(distinct).astype("<f4")
    array = np.where(rng.random(200_000) < 0.3, book[rng.integers(0, distinct, 200_000)], np.float32(0))
    tensor = dcz.compare({"w": array})["w"]
    assert tensor.size("entropy").total <= 1.001 * tensor.auto.size.total <= 1.05 * tensor.size("entropy").total


def test_equal_tensors_are_stored_once() -> None:
    """Also those that are not one array: a file refers to the first."""
    array = make_array(8, "F32", (200, 300), 0.1, 16, "float")
    tensors = {"a": array, "b": array.copy(), "c": array.reshape(300, 200), "d": np.zeros(9, "<f4"), "e": -array}
    tensors |= {"f": np.zeros(9, "<f4"), "g": np.zeros(9, "<i4"), "none": np.zeros((0, 3)), "nor": np.zeros((0, 4))}
    report = dcz.compare(tensors)
    with dcz.open(dcz.save(tensors)) as reader:
        same = {name: reader.info(name).same_as for name in reader}
        assert {t.name: t.same_as for t in report.tensors} == same and same["c"] == "a" and same["f"] == "d"
        assert report.profile("auto") == report.total("auto").total == sum(reader.info(n).stored for n in reader)
        again = dcz.compare(reader)
    assert report.total("dense").total == sum(array.nbytes for array in tensors.values())
    assert again.total("auto") == report.total("auto") and {t.same_as for t in again.tensors} == {None, "a", "d"}
    assert report["b"].auto_layout == "same as a" and report["b"].size("bitmap+huffman").total == 0


def test_reprs_fit_a_line_or_two() -> None:
    array = make_array(8, "F32", (200, 300), 0.1, 16, "float")
    report = dcz.compare({"layers." * 60 + "weight": array, "b\x1b": np.ones(3)})
    for shown in (repr(report), *map(repr, report.tensors)):
        assert len(shown) < 250 and shown.isprintable()
    assert "% nonzero, " in repr(report.tensors[1]) and "CSR, 8-bit gaps + Huffman" in repr(report.tensors[1])


def test_histograms() -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    found = dcz.compare({"w": np.append(rng.standard_normal(5000), [1e9, np.nan, 0.0, 0.0])})["w"].histogram
    assert found is not None and sum(found.counts) + found.outside == 5002 and found.outside >= 1
    one = dcz.compare({"w": np.full(7, 2.0)})["w"].histogram
    assert one is not None and (one.low, one.high, sum(one.counts), one.outside) == (1.0, 3.0, 7, 0)
    for nothing in (np.zeros(4), np.full(4, np.nan), np.array([5e-324]), np.array([-1.7e308, 1.7e308]), np.zeros(0)):
        assert dcz.compare({"w": nothing})["w"].histogram is None


@pytest.mark.parametrize(("density", "rho"), [(0.05, 0.0), (0.3, 0.0), (0.1, 0.5), (0.6, 0.2), (0.4, -0.3)])
def test_expected_positions_are_those_of_such_masks(density: float, rho: float) -> None:
    rng = np.random.Generator(np.random.PCG64(11))
    stay, rest = density + rho * (1 - density), 1 - density * (1 - rho)
    draws = rng.random(400_000)
    mask, state = np.empty(draws.size, bool), rng.random() < density
    for i, draw in enumerate(draws.tolist()):
        state = draw < stay if state else draw >= rest
        mask[i] = state
    tensor = dcz.compare({"w": mask.astype("<f4")})["w"]
    assert abs(tensor.correlation - rho) < 0.02 and abs(tensor.density - density) < 0.02
    nearest = int(np.abs(crossover.DENSITIES - tensor.density).argmin())
    curves = tensor.curves
    for kind in ("relative4", "relative5", "relative8", "bitmap"):
        told = np.interp(tensor.density, crossover.DENSITIES, curves.huffman[kind])
        assert abs(8 * tensor.sizes.huffman[kind].positions / tensor.weights / told - 1) < 0.03, kind
        fixed = np.interp(tensor.density, crossover.DENSITIES, curves.fixed[kind])
        assert abs(8 * tensor.sizes.fixed[kind].positions / tensor.weights / fixed - 1) < 0.03, kind
    assert curves.entropy[nearest] <= min(curves.huffman[kind][nearest] for kind in curves.huffman) + 1e-9


def test_the_crossover_separates_csr_from_bitmap() -> None:
    at = crossover.curves(0.0).crossover()
    assert at is not None and 0.05 < at < 0.3
    rng = np.random.Generator(np.random.PCG64(12))
    for density, smaller, larger in ((at / 2, "relative8", "bitmap"), (2 * at, "bitmap", "relative8")):
        tensor = dcz.compare({"w": (rng.random(300_000) < density).astype("<f4")})["w"]
        assert tensor.sizes.huffman[smaller].positions < tensor.sizes.huffman[larger].positions
        assert abs((tensor.crossover or 0) - at) < 0.03
    assert abs((crossover.curves(0.0).crossover(coded=False) or 0) - 1 / 8) < 0.001  # eight bits against one a weight


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((0, 5), "<f4"), "no weights"),
        (np.zeros((30, 50), "<f4"), "all zeros"),
        (make_array(6, "F32", (5000,), 1.0, 3, "float"), "no zeros"),
        (np.random.Generator(np.random.PCG64(1)).integers(0, 256, 5000, np.uint8), "nothing is smaller than dense"),
        (np.resize(np.float32([1, 2, 3]), 5000), "repeats, which zstd finds"),
        (make_array(5, "F32", (200, 300), 0.02, 16, "float"), " below "),
        (np.full((20, 30), np.nan, "<f4"), "no zeros; "),
    ],
)
def test_reasons(array: np.ndarray, told: str) -> None:
    tensor = dcz.compare({"w": array})["w"]
    assert told in tensor.reason and len(tensor.reason) <= 60
    assert tensor.crossover is None or 0 < tensor.density < 1


def test_one_array_under_two_names_counts_once() -> None:
    array = make_array(8, "F32", (200, 300), 0.1, 16, "float")
    tied = {"a": array, "b": array, "c": -array}
    report = dcz.compare(tied)
    assert [t.name for t in report.tensors] == ["a", "c"] and report.aliases == {"b": "a"}
    assert report["b"] is report["a"]
    with dcz.open(dcz.save(tied)) as reader:
        assert report.profile("auto") == sum(reader.info(name).stored for name in reader if name not in reader.aliases)
        again = dcz.compare(reader)
        assert again.total("auto") == report.total("auto") and again.aliases == report.aliases


def test_unknown_names() -> None:
    report = dcz.compare({"w": np.zeros(3)})
    with pytest.raises(KeyError, match="no tensor 'v' among the 1 of the report: w"):
        report["v"]
    with pytest.raises(dcz.DczError, match="layout: 'csr9' is unknown; expected one of dense, "):
        report["w"].size("csr9")
    with pytest.raises(dcz.DczError, match="names are strings, found 3"):
        dcz.compare({3: np.zeros(3)})
    assert report.total("auto") == report["w"].size("auto") and set(KEYS) >= {"dense", "auto"}


@pytest.mark.skipif(not DATA, reason="DCZ_DATA names no folder with SqueezeNet's .net file")
def test_squeezenet() -> None:
    from dcz.convert import open_model

    source, shapes = f"{DATA}/compressed_SqueezeNet.net", f"{DATA}/SqueezeNet_deploy.prototxt"
    with open_model(source, shapes=shapes) as model:
        tensors = {tensor.name: model.read(tensor.name) for tensor in model.tensors()}
    report = dcz.compare(source, shapes=shapes)
    check(tensors, report)
    assert report.total("dense").total == 4_993_696
    assert report.profile("auto") <= min(map(report.profile, PROFILES))


def test_lenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from suite.models import LENET_300_100, build

    tensors = build(LENET_300_100, biases=True)
    np.savez(tmp_path / "lenet.npz", **tensors)
    report = dcz.compare(tmp_path / "lenet.npz")
    check(tensors, report)
    stages = report.stages()
    dense = report.total("dense").total
    assert 0.15 > stages["P"].size / dense > stages["P+Q"].size / dense > stages["P+Q+H"].size / dense > 0.02
    first = report["ip1.weight"].stages  # Table 2: 6 and 4.4 bits a weight, 5 and 3.7 an index
    assert first["P+Q"].weight_bits < 6.01 and abs(first["P+Q+H"].weight_bits - 4.4) < 0.15
    assert 5 <= first["P+Q"].index_bits < 5.6 and first["P+Q+H"].index_bits < first["P+Q"].index_bits


@pytest.mark.skipif(kernels.active().name == "pure", reason="in pure Python it takes a minute")
def test_alexnet_takes_less_than_two_seconds_of_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """61 million weights of the shapes and densities of Han et al. 2016, Table 4."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from suite.models import ALEXNET

    rng = np.random.Generator(np.random.PCG64(13))
    tensors = {}
    for layer in ALEXNET:
        n = int(np.prod(layer.shape))
        weights = np.zeros(n, "<f4")
        where = np.flatnonzero(rng.random(n, np.float32) < layer.density)
        index = np.clip(
            np.rint(rng.standard_normal(where.size, np.float32) * (1 << layer.bits) / 6),
            -(1 << layer.bits - 1),
            (1 << layer.bits - 1) - 1,
        )
        weights[where] = index + np.float32(0.5)
        tensors[layer.name] = weights.reshape(layer.shape)
    start = time.process_time()
    report = dcz.compare(tensors)
    assert time.process_time() - start < 2
    assert report.weights == 60_954_656 and report.total("auto").total < 0.04 * report.total("dense").total
