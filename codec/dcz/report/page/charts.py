"""The page's charts, as Vega-Lite. The page supplies their data, width and colours.

Names of colours are those of the page's style sheet; `part` is one of positions, indices, codebooks, dense.
"""

from __future__ import annotations

from dcz.report.page import values
from dcz.report.page.bars import FIT, Spec, bars

VERSION = "6.4"


def _x_density(title: str = "density: fraction of weights that are not zero (log)") -> Spec:
    scale = {"type": "log", "domain": [0.005, 1], "clamp": True, "nice": False}
    values = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    return {
        "field": "density",
        "type": "quantitative",
        "scale": scale,
        "title": title,
        "axis": {"values": values, "format": "~%", "grid": False, "labelOverlap": "greedy", "labelSeparation": 6},
    }


def _lines(palette: int) -> Spec:
    return {
        "field": "line", "type": "nominal", "sort": None, "legend": {"orient": "top", "title": None, "labelLimit": 240},
        "scale": {"range": ["#000"] * palette},
    }  # fmt: skip


_LINES = {"name": "lines", "value": ["#0b7285", "#c2410c", "#868e96", "#b07d00", "#343a40"]}
_MARK = {"name": "mark", "value": "#1971c2"}


def _points(y: Spec, name: str) -> list[Spec]:
    """Tensors, and the picked one ringed."""
    tooltip = [{"field": "name"}, {"field": "density", "format": ".2%"}, {"field": "y", "title": name, "format": ".3f"}]
    point = {"type": "point", "filled": True, "size": 45, "opacity": 0.65, "cursor": "pointer", "clip": True}
    ring = {
        "type": "point",
        "size": 220,
        "strokeWidth": 2.5,
        "color": {"signal": "mark"},
        "filled": False,
        "clip": True,
    }
    return [
        {
            "data": {"name": "points"},
            "mark": {**point, "color": {"signal": "mark"}},
            "encoding": {"x": _x_density(), "y": y, "tooltip": tooltip},
        },
        {"data": {"name": "picked"}, "mark": ring, "encoding": {"x": _x_density(), "y": y}},
    ]


def _curves() -> Spec:
    y: Spec = {
        "field": "y",
        "type": "quantitative",
        "title": "bits of positions a weight",
        "scale": {"domain": [0, 1.3], "clamp": True},
    }
    return {
        "description": "Bits that positions take per weight, over density: CSR with 8-bit gaps and bitmap, "
        "Huffman-coded and not, their entropy, this model's tensors as points, the crossover marked.",
        "width": 600, "height": 300, "autosize": FIT, "params": [_LINES, _MARK],
        "layer": [
            {
                "data": {"name": "rows"}, "mark": {"type": "line", "clip": True},
                "encoding": {"x": _x_density(), "y": y, "color": _lines(5)},
            },
            *_crossing("left"),
            *_points(y, "bits a weight"),
        ],
    }  # fmt: skip


def _crossing(align: str) -> list[Spec]:
    """Where CSR and bitmap cross; the label stands where the curves leave room for it, to the right or the left."""
    rule = {"type": "rule", "strokeDash": [5, 4], "color": {"signal": "lines[4]"}}
    text = {
        "type": "text",
        "align": align,
        "dx": 5 if align == "left" else -5,
        "y": 10,
        "color": {"signal": "lines[4]"},
    }
    return [
        {"data": {"name": "crossing"}, "mark": rule, "encoding": {"x": _x_density()}},
        {"data": {"name": "crossing"}, "mark": text, "encoding": {"x": _x_density(), "text": {"field": "label"}}},
    ]


def _gain() -> Spec:
    y: Spec = {
        "field": "y", "type": "quantitative", "title": "CSR's positions against the bitmap's",
        "scale": {"domain": [-0.3, 0.3], "clamp": True}, "axis": {"format": "+.0%"},
    }  # fmt: skip
    return {
        "description": "How much larger CSR's Huffman-coded positions are than the bitmap's, over density: below zero "
        "CSR is smaller. Tensors as points; what exceeds thirty percent lies on the edge.",
        "width": 600, "height": 260, "autosize": FIT, "params": [_LINES, _MARK],
        "layer": [
            {
                "data": {"values": [{"y": 0}]}, "mark": {"type": "rule", "color": {"signal": "lines[2]"}},
                "encoding": {"y": y},
            },
            {
                "data": {"name": "rows"}, "mark": {"type": "line", "clip": True},
                "encoding": {"x": _x_density(), "y": y, "color": _lines(2)},
            },
            *_crossing("right"),
            *_points(y, "CSR / bitmap - 1"),
        ],
    }  # fmt: skip


def _entropy() -> Spec:
    axis = {"type": "quantitative", "scale": {"domain": [0, 1], "nice": False, "zero": False}}
    x = {**axis, "field": "x", "title": "entropy, bits a nonzero"}
    y = {**axis, "field": "y", "title": "stored, bits a nonzero"}
    tooltip = [
        {"field": "name"},
        {"field": "x", "title": "entropy", "format": ".3f"},
        {"field": "y", "title": "stored", "format": ".3f"},
    ]
    point = {"type": "point", "filled": True, "opacity": 0.65, "cursor": "pointer", "color": {"signal": "mark"}}
    ring = {"type": "point", "size": 220, "strokeWidth": 2.5, "filled": False, "color": {"signal": "mark"}}
    return {
        "description": "Stored bits per nonzero of each tensor against its order-0 entropy: on the line, nothing "
        "is wasted.",
        "width": 600, "height": 300, "autosize": FIT, "params": [_LINES, _MARK],
        "layer": [
            {
                "data": {"name": "rows"}, "mark": {"type": "line", "color": {"signal": "lines[2]"}},
                "encoding": {"x": x, "y": y},
            },
            {
                "data": {"name": "points"}, "mark": point,
                "encoding": {
                    "x": x, "y": y, "tooltip": tooltip,
                    "size": {
                        "field": "weights", "type": "quantitative", "legend": None, "scale": {"range": [30, 300]},
                    },
                },
            },
            {
                "data": {"name": "picked"}, "mark": ring,
                "encoding": {"x": x, "y": y, "opacity": {"field": "seen", "type": "quantitative", "scale": None}},
            },
        ],
    }  # fmt: skip


ALL: dict[str, Spec] = {
    "layouts": bars("Bytes of the whole model in each layout, by what they are spent on.", "layout", 24),
    "tensors": bars("Bytes that auto stores for the largest tensors, by what they are spent on.", "name", 20),
    "curves": _curves(),
    "gain": _gain(),
    "entropy": _entropy(),
    "own": bars("Bytes of the chosen tensor in each layout, by what they are spent on.", "layout", 22),
    "values": values.histogram(),
    "clusters": values.clusters(),
    "lengths": values.lengths(),
}
