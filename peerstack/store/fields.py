"""Fields of values as SQL: what `find` compares and what declared indexes hold, in one spelling.

SQLite uses an index on an expression only for the very same expression. Everything in the text is
a constant or a checked name; values are always bound.
"""

from __future__ import annotations

from peerstack.query import Kind, Path

JSON = "coalesce(plain, body)"


def kind_sql(path: Path) -> str:
    """The `Kind` of the field at `path`, as a number."""
    named = {
        "null": Kind.NULL,
        "false": Kind.FALSE,
        "true": Kind.TRUE,
        "integer": Kind.NUMBER,
        "real": Kind.NUMBER,
        "text": Kind.TEXT,
        "array": Kind.LIST,
        "object": Kind.OBJECT,
    }
    cases = " ".join(f"WHEN '{name}' THEN {kind.value}" for name, kind in named.items())
    return f"CASE json_type({JSON}, {path_sql(path)}) {cases} ELSE {Kind.MISSING.value} END"


def value_sql(path: Path) -> str:
    """The number or text at `path`; 0 for whatever else is there, or nothing."""
    at = f"({JSON}, {path_sql(path)})"
    return (
        f"CASE WHEN json_type{at} IN ('integer', 'real', 'text') THEN json_extract{at} ELSE 0 END"
    )


def path_sql(path: Path) -> str:
    """The path in a body, as SQLite's JSON functions take it."""
    return "'$.value" + "".join(f'."{name}"' for name in path) + "'"
