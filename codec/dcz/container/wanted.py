"""The base that a file of differences names in its metadata."""

from __future__ import annotations

from collections.abc import Mapping

KEY = "base"
_LABELS = {"name": "", "sha256": "SHA-256 ", "uri": "at "}


def wanted_base(metadata: Mapping[str, object]) -> str:
    """Return name, SHA-256 and address of the base in a few words; an empty string where the metadata has no `base`.

    >>> wanted_base({"base": {"name": "step-100.safetensors", "uri": "hf://org/model"}})
    'step-100.safetensors, at hf://org/model'
    """
    hints = metadata.get(KEY)
    if not isinstance(hints, Mapping):
        return ""
    return ", ".join(f"{label}{hints[key]}" for key, label in _LABELS.items() if key in hints)
