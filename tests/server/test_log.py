"""`log`: what operators read, and what must not be in it."""

from __future__ import annotations

import json
import logging
import sys

from peerstack_server.log import JsonFormatter


def line(name: str, message: str, *values: object, **named: object) -> dict[str, object]:
    record = logging.LogRecord(name, logging.ERROR, "f.py", 1, message, values, None)
    record.__dict__.update(named)
    parsed: dict[str, object] = json.loads(JsonFormatter().format(record))
    return parsed


def test_own_words_and_fields_are_logged() -> None:
    own = line("peerstack_server.serve", "traffic", fields={"topics": 3})

    assert (own["event"], own["topics"], own["level"]) == ("traffic", 3, "error")


def test_what_other_libraries_put_into_their_words_is_not() -> None:
    assert line("engineio", "%s: %s refused", "192.0.2.7", "box")["event"] == "%s: %s refused"


def test_an_exception_is_its_type_and_place_but_not_its_message() -> None:
    try:
        raise ValueError("what a device sent")
    except ValueError:
        failed = line("aiohttp", "failed", exc_info=sys.exc_info())

    assert failed["exception"] == "ValueError"
    assert str(failed["place"]).startswith(__file__)
    assert "device" not in json.dumps(failed)
