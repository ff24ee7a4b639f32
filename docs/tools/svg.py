"""SVG for light and dark screens, of boxes and words."""

from __future__ import annotations

from html import escape

# Classes of the style below.
COLOURS = ("a", "b", "c", "d")
_STYLE = """
svg { font: 15px system-ui, sans-serif; }
.ground { fill: #fff; }
text { fill: #1b1f24; }
.small { font-size: 12px; fill: #57606a; }
.bold { font-weight: 600; }
.mono { font-family: ui-monospace, monospace; }
.none { fill: #f3f4f6; }
.a { fill: #9bd3d0; } .b { fill: #fbc9a4; } .c { fill: #cfd8f6; } .d { fill: #e3d3f0; }
.box { stroke: #57606a; stroke-width: 0.8; }
@media (prefers-color-scheme: dark) {
.ground { fill: #14181d; }
text { fill: #e6edf3; }
.small { fill: #9aa7b4; }
.none { fill: #20262d; }
.a { fill: #1d5e5b; } .b { fill: #7a4320; } .c { fill: #34437a; } .d { fill: #553a6b; }
}
"""


class Picture:
    """A picture of a size, drawn from the ground up."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height, self._parts = width, height, [f"<style>{_STYLE}</style>"]
        self._parts.append(f'<rect class="ground" width="{width}" height="{height}" rx="8"/>')

    def box(
        self, x: float, y: float, wide: float, high: float, text: str, colour: str | None, *, mono: bool = False
    ) -> None:
        """A box with a word in its middle."""
        kind = colour or "none"
        self._parts.append(f'<rect class="box {kind}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"/>')
        if text:
            self.text(x + wide / 2, y + high / 2 + 5, text, anchor="middle", mono=mono)

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "start", small: bool = False, bold: bool = False,
        mono: bool = False,
    ) -> None:  # fmt: skip
        """Words on a line."""
        chosen = [name for name, on in (("small", small), ("bold", bold), ("mono", mono)) if on]
        kind = f' class="{" ".join(chosen)}"' if chosen else ""
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text{kind} x="{x:.1f}" y="{y:.1f}"{where}>{escape(text)}</text>')

    def svg(self, title: str) -> str:
        """The file's text."""
        size = f'viewBox="0 0 {self._width} {self._height}" width="{self._width}" height="{self._height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(title)}">'
        return "\n".join([head, f"<title>{escape(title)}</title>", *self._parts, "</svg>", ""])
