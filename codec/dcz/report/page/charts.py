"""The page's charts, as Vega-Lite. The page supplies their data, width and colours.

Names of colours are those of the page's style sheet; `part` is one of positions, indices, codebooks, dense.
"""

from __future__ import annotations

VERSION = "6.4"
_PARTS = ["positions", "indices", "codebooks", "dense"]
_FIT = {"type": "fit-x", "contains": "padding"}

Spec = dict[str, object]


def _bars(description: str, field: str, step: int) -> Spec:
    """Stacked bars of bytes by part, one for each `field`, in the order of the data."""
    return {
        "description": description,
        "data": {"name": "rows"},
        "width": 600,
        "height": {"step": step},
        "autosize": _FIT,
        "mark": {"type": "bar", "cursor": "pointer"},
        "encoding": {
            "y": {
                "field": field, "type": "nominal", "sort": None, "title": None,
                "axis": {"labelLimit": 170, "ticks": False, "domain": False},
            },
            "x": {
                "field": "bytes", "type": "quantitative", "stack": True, "title": "bytes",
                "axis": {"format": "~s", "tickCount": 5},
            },
            "color": {
                "field": "part", "type": "nominal", "scale": {"domain": _PARTS, "range": ["#000"] * 4},
                "legend": {"orient": "top", "title": None},
            },
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": [{"field": field, "title": "name"}, {"field": "part"}, {"field": "bytes", "format": ","}],
        },
    }  # fmt: skip


def _x_density(title: str = "density: fraction of weights that are not zero (log)") -> Spec:
    scale = {"type": "log", "domain": [0.005, 1], "clamp": True, "nice": False}
    values = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    return {
        "field": "density",
        "type": "quantitative",
        "scale": scale,
        "title": title,
        "axis": {"values": values, "format": "~%", "grid": False},
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
        "width": 600, "height": 300, "autosize": _FIT, "params": [_LINES, _MARK],
        "layer": [
            {
                "data": {"name": "rows"}, "mark": {"type": "line", "clip": True},
                "encoding": {"x": _x_density(), "y": y, "color": _lines(5)},
            },
            *_crossing(),
            *_points(y, "bits a weight"),
        ],
    }  # fmt: skip


def _crossing() -> list[Spec]:
    rule = {"type": "rule", "strokeDash": [5, 4], "color": {"signal": "lines[4]"}}
    text = {"type": "text", "align": "right", "dx": -5, "y": 10, "color": {"signal": "lines[4]"}}
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
        "width": 600, "height": 260, "autosize": _FIT, "params": [_LINES, _MARK],
        "layer": [
            {
                "data": {"values": [{"y": 0}]}, "mark": {"type": "rule", "color": {"signal": "lines[2]"}},
                "encoding": {"y": y},
            },
            {
                "data": {"name": "rows"}, "mark": {"type": "line", "clip": True},
                "encoding": {"x": _x_density(), "y": y, "color": _lines(2)},
            },
            *_crossing(),
            *_points(y, "CSR / bitmap - 1"),
        ],
    }  # fmt: skip


def _entropy() -> Spec:
    axis = {"type": "quantitative", "scale": {"zero": False}}
    x = {**axis, "field": "x", "title": "order-0 entropy, bits a nonzero"}
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
        "width": 600, "height": 300, "autosize": _FIT, "params": [_LINES, _MARK],
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


def _clusters() -> Spec:
    x = {
        "field": "i",
        "type": "quantitative",
        "title": "cluster, in codebook order",
        "scale": {"nice": False, "zero": False},
        "axis": {"tickMinStep": 1, "grid": False},
    }
    tooltip = [
        {"field": "i", "title": "cluster"},
        {"field": "value"},
        {"field": "count", "format": ","},
        {"field": "length", "title": "code length, bits"},
    ]
    bar = {
        "type": "bar",
        "color": {"signal": "mark"},
        "opacity": 0.75,
        "width": {"signal": "max(1, 0.85 * width / max(1, length(data('rows'))))"},
    }
    count = {"field": "count", "type": "quantitative", "title": "weights", "axis": {"format": "~s", "tickCount": 5}}
    length = {
        "field": "length",
        "type": "quantitative",
        "title": "code length, bits",
        "scale": {"domainMin": 0},
        "axis": {"grid": False, "tickMinStep": 1},
    }
    return {
        "description": "How many weights each cluster of this tensor has, and the length of its Huffman code.",
        "width": 600, "height": 220, "autosize": _FIT, "params": [_LINES, _MARK], "data": {"name": "rows"},
        "resolve": {"scale": {"y": "independent"}},
        "layer": [
            {"mark": bar, "encoding": {"x": x, "y": count, "tooltip": tooltip}},
            {
                "mark": {"type": "line", "interpolate": "step", "color": {"signal": "lines[1]"}},
                "encoding": {"x": x, "y": length},
            },
        ],
    }  # fmt: skip


ALL: dict[str, Spec] = {
    "layouts": _bars("Bytes of the whole model in each layout, by what they are spent on.", "layout", 24),
    "tensors": _bars("Bytes that auto stores for the largest tensors, by what they are spent on.", "name", 18),
    "curves": _curves(),
    "gain": _gain(),
    "entropy": _entropy(),
    "own": _bars("Bytes of the chosen tensor in each layout, by what they are spent on.", "layout", 22),
    "clusters": _clusters(),
}
