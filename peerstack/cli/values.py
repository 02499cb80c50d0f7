"""Values as people type them: a JSON object, or fields such as `title=Milk done:=true`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

JsonObject = dict[str, Any]


def parse_value(words: Sequence[str]) -> JsonObject:
    """A record's value: one JSON object, or fields. Raises `click.UsageError`."""
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        value = _json(words[0], "the value")
        if isinstance(value, dict):
            return value
    return parse_fields(words)


def parse_fields(words: Sequence[str]) -> JsonObject:
    """`name=text` and `name:=JSON`, each name once. Raises `click.UsageError`."""
    value: JsonObject = {}
    for word in words:
        name, found, text = word.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not found or not name:
            raise click.UsageError(
                f"{word!r} is no field: write name=text, name:=JSON, or one JSON object"
            )
        if name in value:
            raise click.UsageError(f"the field {name!r} is given twice")
        value[name] = _json(text, f"the field {name!r}") if is_json else text
    return value


def _json(text: str, what: str) -> Any:
    import orjson

    try:
        return orjson.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{what} is no JSON: {error}") from None
