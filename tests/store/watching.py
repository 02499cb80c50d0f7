"""Sees which statements a database is given."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event


def watch(engine: Engine) -> list[tuple[str, Any]]:
    """The statements that run from now on, with their parameters."""
    ran: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(*arguments: Any) -> None:
        ran.append(arguments[2:4])

    return ran
