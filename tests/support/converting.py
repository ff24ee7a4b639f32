"""From one file of weights to another, as `dcz pack` and `dcz unpack` go."""

from __future__ import annotations

from pathlib import Path

from dcz.convert import open_model, open_target, transfer


def convert(source: Path, target: Path, **options: object) -> Path:
    """Writes the tensors of `source` to `target`, as their suffixes say; `options` are those of `open_target`."""
    with open_model(source) as model:
        transfer(model, open_target(target, **options))  # type: ignore[arg-type]
    return target
