"""Sees which statements a database is given."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event


def watch(engine: Engine) -> list[tuple[str, Any]]:
    """The statements that SQLAlchemy composes from now on, with their parameters."""
    ran: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(*arguments: Any) -> None:
        ran.append(arguments[2:4])

    return ran


def trace(connection: Connection) -> list[str]:
    """Everything that SQLite runs on a connection from now on."""
    ran: list[str] = []
    driver: Any = connection.connection.driver_connection
    driver.set_trace_callback(ran.append)
    return ran
