"""A recipe: what to do with which tensor, as plain data that TOML and JSON can say."""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from dcz.errors import DczError, FormatError, LimitError, UnsupportedError
from dcz.extras import require
from dcz.io.sinks import write_whole
from dcz.io.sources import FileSource, read
from dcz.lossy.config import SIZES, ClusterConfig, PruneConfig
from dcz.lossy.selection import WEIGHT_THRESHOLD, check_integer, check_patterns, matches, names_one

# Of a file, which says a line or two about each of a model's layers.
_MAX_BYTES = 1 << 20
_MAX_PARTS = 64
# Keys of which one replaces another, and those that go with them.
_HOW_MANY = ("density", "threshold", "quality", "n_m_ratio")
_PRUNING = (*_HOW_MANY, "block_size", "dim", "scope")
_CODEBOOK = ("codebook_dtype", "rescale", "granularity", "group_size", "axis", "seed", "max_iter")
_CLUSTERING = (*SIZES, "method", "init", "entropy", *_CODEBOOK)
_OTHER = ("weight_threshold", "leave")
# Of the whole recipe, not of a tensor.
_CALIBRATION = "calibration"
KEYS = (*_PRUNING, *_CLUSTERING, *_OTHER)


@dataclass(frozen=True, slots=True)
class Settings:
    """The treatment of one tensor. `requested` says that the recipe names this very tensor."""

    pruning: PruneConfig | None
    clustering: ClusterConfig | None
    weight_threshold: int
    leave: bool
    requested: bool


class Recipe:
    """A recipe, checked. `default` holds the keys at the top; `overrides` those of patterns, of which later ones
    win over earlier ones; `calibrated` says that it was made for tensors that are rounded by a calibration."""

    def __init__(self, default: Mapping[str, object], overrides: Mapping[str, Mapping[str, object]]) -> None:
        self.default = {key: value for key, value in default.items() if key != _CALIBRATION}
        self.overrides = {pattern: dict(keys) for pattern, keys in overrides.items()}
        self.calibrated = default.get(_CALIBRATION, False)
        if self.calibrated not in (True, False):
            raise DczError(
                f"recipe: calibration: expected true or false, found {self.calibrated!r:.80}; the file goes to "
                "--calibration or calibration="
            )
        if not self.default and not self.overrides:
            raise DczError('recipe: is empty; say what to do, as in {"density": 0.1, "n_bits": 5}')
        _check_keys(self.default, "recipe")
        _settings(self.default, False, "recipe")
        for pattern, keys in self.overrides.items():
            _check_keys(keys, f"recipe: tensors: {pattern!r}")
            _settings(_merged(self.default, keys), False, f"recipe: tensors: {pattern!r}")

    @staticmethod
    def parse(plain: object) -> Recipe:
        """From a mapping, or from the path of a TOML or JSON file."""
        if isinstance(plain, Recipe):
            return plain
        if isinstance(plain, (str, os.PathLike)):
            return Recipe.load(plain)
        if not isinstance(plain, Mapping):
            raise DczError(f"recipe: expected a mapping or the path of one, found {type(plain).__name__}")
        overrides = plain.get("tensors", {})
        if not isinstance(overrides, Mapping) or not all(isinstance(each, Mapping) for each in overrides.values()):
            raise DczError('recipe: tensors: expected patterns and their keys, as in {"conv*": {"n_bits": 8}}')
        return Recipe({key: value for key, value in plain.items() if key != "tensors"}, overrides)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Recipe:
        """From a .toml or .json file."""
        name, suffix = os.fspath(path), check_suffix(path)
        with closing(FileSource(path)) as source:
            if source.size > _MAX_BYTES:
                raise LimitError(f"{name}: {source.size} bytes; the limit of a recipe is {_MAX_BYTES}")
            data = read(source, 0, source.size).tobytes()
        try:
            plain = json.loads(data) if suffix == ".json" else _toml().loads(_bounded(data.decode(), name))
        except (ValueError, RecursionError) as error:
            if isinstance(error, DczError):
                raise
            raise FormatError(f"{name}: not valid {suffix[1:].upper()} ({error})") from None
        try:
            return Recipe.parse(plain)
        except DczError as error:
            raise type(error)(f"{name}: {error}") from None

    def to_dict(self) -> dict[str, object]:
        """As a mapping."""
        wanted = {_CALIBRATION: True} if self.calibrated else {}
        return {**wanted, **self.default, **({"tensors": self.overrides} if self.overrides else {})}

    def save(self, path: str | os.PathLike[str]) -> None:
        """To a .toml or .json file, whole or not at all."""
        write_whole(path, dumps(self.to_dict(), check_suffix(path)).encode())

    def check(self, names: Iterable[str]) -> None:
        """Refuses patterns that match none of these tensors."""
        check_patterns(self.overrides, names, "recipe: tensors")

    def check_calibration(self, given: bool) -> None:
        """Refuses to go without a calibration that the recipe was made for: its steps are too coarse without."""
        if self.calibrated and not given:
            raise DczError(
                "recipe: calibration: it was made for tensors rounded by one, and is worse without; give it "
                "(--calibration FILE, calibration=), or take the key away"
            )

    def settings(self, name: str) -> Settings:
        """The treatment of the tensor of this name."""
        keys, requested = self.default, False
        for pattern, override in self.overrides.items():
            if matches(name, pattern):
                keys = _merged(keys, override)
                requested = requested or (names_one(pattern) and pattern == name)
        return _settings(keys, requested, "recipe")


def _bounded(text: str, name: str) -> str:
    """TOML whose keys have few parts: what its parser takes for a key grows with their square."""
    for line in text.splitlines():
        if line.partition("=")[0].count(".") > _MAX_PARTS:
            raise LimitError(f"{name}: a key of more than {_MAX_PARTS} parts; quote names that have dots in them")
    return text


def check_suffix(path: str | os.PathLike[str]) -> str:
    """.toml or .json, as a path has it."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".toml", ".json"):
        raise UnsupportedError(f"{os.fspath(path)}: a recipe is a .toml or .json file")
    return suffix


def dumps(plain: Mapping[str, object], suffix: str) -> str:
    """The text of a .json or .toml file; TOML only of what recipes are made of."""
    if suffix == ".json":
        return json.dumps(plain, indent=2) + "\n"
    tables = plain.get("tensors", {})
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items() if key != "tensors"]
    for pattern, keys in tables.items():  # type: ignore[attr-defined]
        # A JSON string is a TOML one, but for DEL, and for surrogates.
        quoted = json.dumps(pattern, ensure_ascii=False).replace("\x7f", "\\u007f")
        lines += ["", f"[tensors.{quoted}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def _toml() -> ModuleType:
    """Python's own reader of TOML, or before 3.11 the library that it came from."""
    return require("tomllib" if sys.version_info >= (3, 11) else "tomli", "recipe", "a TOML recipe")


def _check_keys(keys: Mapping[str, object], field: str) -> None:
    for key in keys:
        if key not in KEYS:
            if key == _CALIBRATION:
                raise DczError(f"{field}: calibration: is for the whole recipe; put it at the top")
            near = difflib.get_close_matches(str(key), KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(KEYS)}"
            raise DczError(f"{field}: unknown key {key!r:.80}; {hint}")


def _merged(keys: Mapping[str, object], override: Mapping[str, object]) -> dict[str, object]:
    """Keys with those of an override. One of a choice replaces the others of it."""
    out = dict(keys)
    for choice in (_HOW_MANY, SIZES):
        if any(key in override for key in choice):
            out = {key: value for key, value in out.items() if key not in choice}
    if any(key in override for key in SIZES):
        out.pop("method", None)  # it follows from the size
    return {**out, **override}


def _settings(keys: Mapping[str, object], requested: bool, field: str) -> Settings:
    """Checked; false stands for a key that is not there."""
    keys = {key: value for key, value in keys.items() if value is not False and value is not None}
    lists = {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}
    leave = lists.get("leave", False)
    if leave not in (True, False):
        raise DczError(f"{field}: leave: expected true or false, found {leave!r:.80}")
    threshold = check_integer(lists.get("weight_threshold", WEIGHT_THRESHOLD), f"{field}: weight_threshold", 0, 1 << 62)
    try:
        prune = {key: lists[key] for key in _PRUNING if key in lists}
        cluster = {key: lists[key] for key in _CLUSTERING if key in lists}
        pruning = PruneConfig(**prune) if any(key in prune for key in _HOW_MANY) else None  # type: ignore[arg-type]
        clustering = ClusterConfig(**cluster) if cluster.keys() & {*SIZES, "method"} else None  # type: ignore[arg-type]
    except DczError as error:
        raise DczError(f"{field}: {error}") from None
    return Settings(pruning, clustering, threshold, bool(leave), requested)
