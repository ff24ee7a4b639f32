"""Protobuf's text format, parsed without knowing the fields."""

from __future__ import annotations

import re
from typing import Any

from dcz.errors import FormatError, LimitError

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[-+\w.]+)|(?P<mark>[{}:;,<>\[\]])"""
)
_MAX_DEPTH = 64
_MAX_TEXT = 1 << 20  # ResNet-152 takes a tenth

Message = dict[str, list[Any]]  # each field's values in order: strings or messages


def parse(text: str, path: str) -> Message:
    """Parse protobuf's text format, without knowing the fields."""
    if len(text) > _MAX_TEXT:
        raise LimitError(f"{path}: {len(text)} characters; the limit is {_MAX_TEXT}; is this a Caffe deploy prototxt?")
    return _message(_Tokens(text, path), path, 0)


class _Tokens:
    """The tokens of a text, made on access: an early error is found at once."""

    def __init__(self, text: str, path: str) -> None:
        self._text, self._path, self._at = text, path, 0
        self._next = self._read()

    def __bool__(self) -> bool:
        return self._next is not None

    @property
    def next(self) -> str | None:
        """Return the token that `pop` returns next."""
        return self._next

    def pop(self) -> str:
        """Remove and return the next token."""
        token, self._next = self._next, self._read()
        assert token is not None
        return token

    def _read(self) -> str | None:
        while self._at < len(self._text):
            match = _TOKEN.match(self._text, self._at)
            if match is None:
                line = self._text.count("\n", 0, self._at) + 1
                raise FormatError(
                    f"{self._path}:{line}: unexpected {self._text[self._at]!r}; is this a Caffe prototxt?"
                )
            self._at = match.end()
            if match.lastgroup:
                return match.group()
        return None


def _message(tokens: _Tokens, path: str, depth: int) -> Message:
    if depth > _MAX_DEPTH:
        raise FormatError(f"{path}: nested deeper than {_MAX_DEPTH} levels; is this a Caffe deploy prototxt?")
    out: Message = {}
    while tokens:
        key = tokens.pop()
        if key in ("}", ">"):
            if depth == 0:
                raise FormatError(f"{path}: a closing brace too many")
            return out
        if key in (";", ","):
            continue
        colon = tokens.next == ":"
        if colon:
            tokens.pop()
        if not tokens:
            raise FormatError(f"{path}: field {key!r:.80} has no value")
        value = tokens.pop()
        if value in ("{", "<"):
            out.setdefault(key, []).append(_message(tokens, path, depth + 1))
        elif value == "[":
            while tokens and (item := tokens.pop()) != "]":
                if item != ",":
                    out.setdefault(key, []).append(_value(item))
        elif colon and value not in ("}", ">", ":"):
            out.setdefault(key, []).append(_value(value))
        else:
            raise FormatError(f"{path}: field {key!r:.80} has no value")
    if depth:
        raise FormatError(f"{path}: the file ends inside a brace")
    return out


def _value(token: str) -> str:
    return token[1:-1] if token[0] in "\"'" else token
