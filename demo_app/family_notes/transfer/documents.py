"""Notes as JSON: our own lines, and the files of Google Keep's export."""

from __future__ import annotations

import json
from typing import Any

from family_notes.model import Draft, Place, clean_labels, place_of
from family_notes.transfer.form import LeftOut, Line, Parcel


def read_line(text: str, name: str) -> Parcel | LeftOut:
    """A line that `write_line` has written."""
    found = _document(text)
    if found is None or not {"title", "body"} & found.keys():
        return LeftOut(f"{name} is no note")
    return Parcel(
        Draft(_text(found, "title"), _text(found, "body"), clean_labels(_texts(found, "labels"))),
        [Line(_text(each, "text"), each.get("done") is True) for each in _objects(found, "items")],
        found.get("pinned") is True,
        place_of(found.get("place")),
    )


def write_line(parcel: Parcel) -> str:
    """A note as one line of JSON."""
    return json.dumps(
        {
            "title": parcel.draft.title,
            "body": parcel.draft.body,
            "labels": parcel.draft.labels,
            "pinned": parcel.pinned,
            "place": parcel.place.value,
            "items": [{"text": line.text, "done": line.done} for line in parcel.lines],
        },
        ensure_ascii=False,
    )


def read_keep(text: str, name: str) -> Parcel | LeftOut:
    """A file of Google Keep's export."""
    found = _document(text)
    if found is None or not {"textContent", "listContent"} & found.keys():
        return LeftOut(f"{name} is no note of Google Keep")
    place = Place.ARCHIVE if found.get("isArchived") is True else Place.DESK
    labels = [_text(each, "name") for each in _objects(found, "labels")]
    items = _objects(found, "listContent")
    return Parcel(
        Draft(_text(found, "title"), _text(found, "textContent"), clean_labels(labels)),
        [Line(_text(each, "text"), each.get("isChecked") is True) for each in items],
        found.get("isPinned") is True,
        Place.BIN if found.get("isTrashed") is True else place,
    )


def _document(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(found: dict[str, Any], field: str) -> str:
    value = found.get(field)
    return _whole(value) if isinstance(value, str) else ""


def _texts(found: dict[str, Any], field: str) -> list[str]:
    return [_whole(each) for each in _list(found, field) if isinstance(each, str)]


def _objects(found: dict[str, Any], field: str) -> list[dict[str, Any]]:
    return [each for each in _list(found, field) if isinstance(each, dict)]


def _list(found: dict[str, Any], field: str) -> list[Any]:
    values = found.get(field)
    return values if isinstance(values, list) else []


def _whole(text: str) -> str:
    """A text without halves of characters: JSON can say them, nothing can store or show them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
