"""Whether a body is well formed, worked out from the list in `docs/protocol.md` alone.

Shares no code with the product, nor a JSON library: a small parser that reads character by
character, as somebody would write it who has nothing but the text of the rules.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

_BYTES: Final = 61_440
_MARK_BYTES: Final = 8_192
_DEEPEST: Final = 64
_INTEGER: Final = 2**53 - 1
_TIME: Final = 2**48 - 1
_SPACE: Final = " \t\n\r"
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f"} | {
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{4}")
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_ID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}(:[0-9A-Za-z._:-]{1,101})?")
_TYPE: Final = re.compile(r"[a-z0-9._-]{1,64}|\$[a-z0-9._-]{1,63}")
_NEEDED: Final = {"id", "group", "type", "modified", "signer"}
_KNOWN: Final = _NEEDED | {"device", "value", "deleted", "seen"}


class Malformed(Exception):
    """The body is refused; the message names the rule."""


class _Fraction(float):
    """A number that was not spelled as an integer."""


def check(body: bytes) -> None:
    """Raise `Malformed` unless a body is well formed."""
    _require(len(body) <= _BYTES, "B1")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("B2") from None
    parser = _Parser(text)
    fields = parser.value(1)
    parser.skip_space()
    _require(parser.at == len(text), "B3")
    _require(isinstance(fields, dict), "B10")
    _check_fields(fields)
    _require(fields["type"] != "$reached" or len(body) <= _MARK_BYTES, "B21")


def _check_fields(fields: dict[str, Any]) -> None:
    _require(fields.keys() >= _NEEDED and fields.keys() <= _KNOWN, "B10")
    _require(_matches(_ID, fields["id"]) and len(fields["id"]) <= 128, "B11")
    ulids = [fields[name] for name in ("group", "signer", "device") if name in fields]
    _require(all(_matches(_ULID, each) for each in ulids), "B12")
    _require(_matches(_TYPE, fields["type"]), "B13")
    _require(_is_time(fields["modified"]), "B14")
    _require(isinstance(fields.get("value", {}), dict), "B15")
    _require(("value" in fields) != ("deleted" in fields), "B16")
    _require(fields.get("deleted", True) is True, "B16")
    kind = fields["type"]
    record = not kind.startswith("$") or kind in {"$profile", "$secret", "$reached"}
    record = record or kind.startswith("$data.")
    _require("device" in fields or not record, "B17")
    if "seen" in fields:
        _check_seen(fields["seen"])
    _require(record or ("value" in fields and "seen" not in fields), "B19")
    _check_place(fields["id"], fields["group"], kind, fields.get("device"))


def _check_place(at: str, group: str, kind: str, device: str | None) -> None:
    own = {
        "$profile": f"{group}:profile",
        "$secret": f"{group}:secret",
        "$reached": f"{group}:reached:{device}",
    }
    if kind in own:
        _require(at == own[kind], "B20")
        return
    _require(at not in (own["$profile"], own["$secret"]), "B20")
    _require(not at.startswith(f"{group}:reached:"), "B20")


def _check_seen(seen: Any) -> None:
    _require(isinstance(seen, dict) and 1 <= len(seen) <= 32, "B18")
    _require(all(_matches(_ULID, each) for each in seen), "B18")
    _require(all(_is_time(each) for each in seen.values()), "B18")


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_time(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _TIME


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise Malformed(rule)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip_space(self) -> None:
        while self._next() in tuple(_SPACE):
            self.at += 1

    def value(self, depth: int) -> Any:
        self.skip_space()
        match self._next():
            case "{":
                return self._object(depth)
            case "[":
                return self._list(depth)
            case '"':
                return self._string()
        for word, meaning in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return meaning
        return self._number()

    def _object(self, depth: int) -> dict[str, Any]:
        _require(depth <= _DEEPEST, "B7")
        found: dict[str, Any] = {}
        self._expect("{")
        self.skip_space()
        while self._next() != "}":
            self.skip_space()
            name = self._string()
            _require(name not in found, "B6")
            self.skip_space()
            self._expect(":")
            found[name] = self.value(depth + 1)
            if not self._goes_on("}"):
                break
        self._expect("}")
        return found

    def _list(self, depth: int) -> list[Any]:
        _require(depth <= _DEEPEST, "B7")
        found: list[Any] = []
        self._expect("[")
        self.skip_space()
        while self._next() != "]":
            found.append(self.value(depth + 1))
            if not self._goes_on("]"):
                break
        self._expect("]")
        return found

    def _goes_on(self, end: str) -> bool:
        """Whether a comma and a further member follow."""
        self.skip_space()
        if self._next() != ",":
            return False
        self.at += 1
        self.skip_space()
        _require(self._next() != end, "B3")
        return True

    def _string(self) -> str:
        self._expect('"')
        found: list[str] = []
        while (char := self._next()) != '"':
            _require(char >= " ", "B3")
            self.at += 1
            found.append(self._escape() if char == "\\" else char)
        self.at += 1
        return "".join(found)

    def _escape(self) -> str:
        char = self._next()
        self.at += 1
        if char in _ESCAPES:
            return _ESCAPES[char]
        _require(char == "u", "B3")
        unit = self._unit()
        _require(not 0xDC00 <= unit < 0xE000, "B4")
        _require(unit != 0, "B5")
        if not 0xD800 <= unit < 0xDC00:
            return chr(unit)
        _require(self.text.startswith("\\u", self.at), "B4")
        self.at += 2
        low = self._unit()
        _require(0xDC00 <= low < 0xE000, "B4")
        return chr(0x10000 + (unit - 0xD800) * 0x400 + low - 0xDC00)

    def _unit(self) -> int:
        found = _HEX.match(self.text, self.at)
        if found is None:
            raise Malformed("B3")
        self.at = found.end()
        return int(found[0], 16)

    def _number(self) -> int | _Fraction:
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            raise Malformed("B3")
        self.at = found.end()
        if found[1] is None and found[2] is None:
            _require(len(found[0]) <= 17 and abs(int(found[0])) <= _INTEGER, "B8")
            return int(found[0])
        _require(math.isfinite(float(found[0])), "B9")
        return _Fraction(found[0])

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _expect(self, char: str) -> None:
        _require(self._next() == char, "B3")
        self.at += 1
