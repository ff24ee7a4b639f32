"""Charts of one tensor's values, as Vega-Lite: their distribution, its clusters, and the lengths of their codes."""

from __future__ import annotations

from dcz.report.page.bars import FIT, NUMBERS, Spec

_MARK = {"name": "mark", "value": "#1971c2"}
_LINES = {"name": "lines", "value": ["#0b7285", "#c2410c", "#868e96", "#b07d00", "#343a40"]}
_VALUE = {
    "field": "value", "type": "quantitative", "title": "weight",
    "scale": {"domain": [0, 1], "nice": False, "padding": 6},
    "axis": {"grid": False, "format": "~r", "tickCount": 8},
}  # fmt: skip


def _count() -> Spec:
    return {
        "field": "count", "type": "quantitative", "title": "weights", "scale": {"zero": True, "nice": True},
        "axis": {"labelExpr": NUMBERS, "tickCount": 4, "minExtent": 48},
    }  # fmt: skip


def _chart(description: str, height: int, *layers: Spec) -> Spec:
    return {
        "description": description, "width": 600, "height": height, "autosize": FIT, "params": [_LINES, _MARK],
        "layer": list(layers),
    }  # fmt: skip


def histogram() -> Spec:
    """How many nonzero weights lie in each range of values; below the axis a tick for each cluster."""
    tooltip = [
        {"field": "value", "title": "from", "format": ".4g"},
        {"field": "until", "title": "to", "format": ".4g"},
        {"field": "count", "format": ","},
    ]
    bar: Spec = {
        "data": {"name": "rows"},
        "mark": {"type": "bar", "color": {"signal": "mark"}, "opacity": 0.75, "binSpacing": 1},
        "encoding": {"x": _VALUE, "x2": {"field": "until"}, "y": _count(), "y2": {"datum": 0}, "tooltip": tooltip},
    }
    tick: Spec = {
        "data": {"name": "clusters"},
        "mark": {"type": "rule", "color": {"signal": "lines[1]"}, "strokeWidth": 1},
        "encoding": {"x": _VALUE, "y": {"value": {"expr": "height"}}, "y2": {"value": {"expr": "height - 9"}}},
    }
    return _chart(
        "Histogram of the tensor's nonzero values; a short line at the axis marks each cluster.", 190, bar, tick
    )


def clusters() -> Spec:
    """How many weights each cluster has, over its value."""
    tooltip = [
        {"field": "value", "format": ".6g"},
        {"field": "count", "format": ","},
        {"field": "length", "title": "code length, bits"},
    ]
    stem: Spec = {
        "data": {"name": "rows"},
        "mark": {"type": "rule", "color": {"signal": "mark"}, "strokeWidth": {"expr": "stem"}},
        "encoding": {"x": _VALUE, "y": _count(), "y2": {"datum": 0}, "tooltip": tooltip},
    }
    chart = _chart("How many weights each cluster of this tensor has, over the cluster's value.", 170, stem)
    return {**chart, "params": [_LINES, _MARK, {"name": "stem", "value": 2}]}


def lengths() -> Spec:
    """The length of each cluster's Huffman code, over its value."""
    y: Spec = {
        "field": "length", "type": "quantitative", "title": "bits",
        "scale": {"domainMin": 0}, "axis": {"tickMinStep": 1, "tickCount": 4, "minExtent": 48},
    }  # fmt: skip
    dot: Spec = {
        "data": {"name": "rows"},
        "mark": {"type": "point", "filled": True, "size": 22, "color": {"signal": "lines[1]"}, "opacity": 0.9},
        "encoding": {"x": _VALUE, "y": y, "tooltip": [{"field": "value", "format": ".6g"}, {"field": "length"}]},
    }
    return _chart("Length of the Huffman code of each cluster, in bits, over the cluster's value.", 90, dot)
