"""What the report on pretrained networks says of curves whose answer is known."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.pretrained import comparison
from benchmarks.pretrained.report import ratio_at


def found(**points: list[tuple[float, float]]) -> comparison.Row:
    """The row at 0.99 of methods given by their names with underscores."""
    curves = {name.replace("__", ", ").replace("_", " "): each for name, each in points.items()}
    return comparison.rows([("net", curves)], (0.99,), ratio_at)[0]


def test_the_line_between_two_settings_is_read_at_the_fidelity_asked_for():
    ratio, least = ratio_at([(4, 0.999), (16, 0.9)], 0.99)
    assert ratio == pytest.approx(8) and not least


def test_a_method_whose_smallest_file_is_good_enough_loses_to_nobody():
    row = found(plan=[(10, 0.995), (12, 0.98)], NNCodec=[(5, 0.9999), (9, 0.992)])
    assert row.nncodec is not None and row.nncodec.least
    assert comparison.smaller(row.ours, row.nncodec) is None
    assert not any("NNCodec" in line for line in comparison.reading([row]))


def test_losses_are_counted_and_named():
    row = found(plan=[(8, 0.99), (16, 0.5)], NNCodec=[(10, 0.99), (20, 0.5)], entropy=[(4, 0.99), (8, 0.5)])
    said = "\n".join(comparison.reading([row]))
    assert "smaller than NNCodec at 0 of 1 points; larger at net at 0.99 (by 25.0%)" in said
    assert (
        "Without data, dcz is at least 15% smaller than with k-means or entropy-constrained clusters at 1 of 1" in said
    )


def test_data_and_kinds_are_told_apart():
    points = [(8, 0.99), (16, 0.5)]
    row = found(grid=points, shrink=[(10, 0.99), (20, 0.5)], integers_by_channel=points, GPTQ_in_groups_of_128=points)
    assert (row.ours_without.ratio, row.ours.ratio) == pytest.approx((8, 10))
    assert row.before is None and row.nncodec is None
    assert (row.integers.method, row.gptq.method) == ("integers by channel", "GPTQ in groups of 128")
