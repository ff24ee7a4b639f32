"""What is measured of one peer on one input with one thread count: a row of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median


@dataclass
class Row:
    """`status` is "ok" or why there are no numbers; times are lists, their medians are what is reported."""

    input: str
    peer: str
    title: str
    threads: int
    version: str = ""
    status: str = "ok"
    reason: str = ""
    dense: int = 0
    size: int = 0
    exact: bool = False
    encode: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    encode_peak: int | None = None
    decode_peak: int | None = None

    @property
    def ratio(self) -> float | None:
        return self.dense / self.size if self.size else None

    @property
    def encode_seconds(self) -> float | None:
        return _median(self.encode)

    @property
    def fresh_seconds(self) -> float | None:
        return _median(self.fresh)

    @property
    def warm_seconds(self) -> float | None:
        return _median(self.warm)

    @property
    def fresh_speed(self) -> float | None:
        """Bytes of decoded tensors a second, into fresh memory."""
        return self.dense / self.fresh_seconds if self.fresh else None

    @property
    def warm_speed(self) -> float | None:
        """The same into warm memory."""
        return self.dense / self.warm_seconds if self.warm else None


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
