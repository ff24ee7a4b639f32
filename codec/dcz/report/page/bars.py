"""Charts of bytes, as Vega-Lite: a bar for each layout or tensor, stacked by what the bytes are spent on."""

from __future__ import annotations

PARTS = ["positions", "indices", "codebooks", "dense"]
FIT = {"type": "fit-x", "contains": "padding"}

Spec = dict[str, object]

# Labels of an axis of bytes and of one of numbers: with their units.
_BYTES = (
    "datum.value == 0 ? '0' : datum.value >= 1e9 ? format(datum.value / 1e9, '~r') + ' GB' : datum.value >= 1e6 ? "
    "format(datum.value / 1e6, '~r') + ' MB' : datum.value >= 1e3 ? format(datum.value / 1e3, '~r') + ' kB' : "
    "format(datum.value, '~r') + ' B'"
)
NUMBERS = "datum.value == 0 ? '0' : datum.value >= 1e4 ? format(datum.value, '~s') : format(datum.value, ',~r')"


def bars(description: str, field: str, step: int) -> Spec:
    """Stacked bars of bytes by part, one for each `field`, in the order of the data.

    The page cuts off a bar that would dwarf the others: `shown` is what is drawn of it, and `breaks` has where.
    `ends` has the bytes of each bar, to be written at its end."""
    y: Spec = {
        "field": field, "type": "nominal", "sort": None, "title": None,
        "axis": {
            "labelLimit": {"expr": "labels"}, "labelExpr": "short[datum.value] || datum.value",
            "ticks": False, "domain": False,
        },
    }  # fmt: skip
    x: Spec = {
        "field": "shown", "type": "quantitative", "title": None, "scale": {"domain": [0, 1], "nice": False},
        "axis": {"labelExpr": _BYTES, "tickCount": 5, "labelFlush": False, "labelBound": 8},
    }  # fmt: skip
    color = {
        "field": "part", "type": "nominal", "scale": {"domain": PARTS, "range": ["#000"] * 4},
        "legend": {"orient": "top", "title": None},
    }  # fmt: skip
    tooltip = [{"field": field, "title": "name"}, {"field": "part"}, {"field": "bytes", "format": ","}]
    return {
        "description": description, "width": 600, "height": {"step": step}, "autosize": FIT,
        "params": [
            {"name": "labels", "value": 170}, {"name": "ink", "value": "#000"}, {"name": "ground", "value": "#fff"},
            {"name": "short", "value": {}},
        ],
        "layer": [
            {
                "data": {"name": "rows"}, "mark": {"type": "bar", "cursor": "pointer"},
                "encoding": {
                    "y": y, "x": {**x, "stack": True}, "color": color, "tooltip": tooltip,
                    "order": {"field": "order", "type": "quantitative"},
                },
            },
            {
                "data": {"name": "breaks"},
                "mark": {"type": "tick", "thickness": 4, "bandSize": 40, "color": {"expr": "ground"}, "opacity": 1},
                "encoding": {"y": y, "x": x},
            },
            {
                "data": {"name": "ends"},
                "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 11, "color": {"expr": "ink"}},
                "encoding": {"y": y, "x": x, "text": {"field": "text"}},
            },
        ],
    }  # fmt: skip
