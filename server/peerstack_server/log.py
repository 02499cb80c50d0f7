"""Structured logs: one JSON object a line, on standard error.

An exception is logged by its type and place alone: its message may quote what a device sent.
"""

from __future__ import annotations

import datetime
import logging
import traceback

import orjson


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; `extra={"fields": {...}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            line |= {"event": "error", "exception": record.exc_info[0].__name__, "place": place}
        elif record.name.startswith("peerstack_server"):
            line |= {"event": record.getMessage(), **getattr(record, "fields", {})}
        else:
            # Other libraries' words may hold an address or what a device sent; their template not.
            line |= {"event": str(record.msg)}
        return orjson.dumps(line).decode()


def set_up(level: str) -> None:
    """Send everything to standard error. Other libraries only say what went wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.ERROR, handlers=[handler], force=True)
    logging.getLogger("peerstack_server").setLevel(level.upper())
