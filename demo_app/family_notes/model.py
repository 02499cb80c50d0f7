"""What a note, an item of its list and a label are, as records of peerstack.

What others wrote may come from another version of this app, or from another app: a value is read
for what it has, and nothing in it is believed to be there.

An item is a record of its own, so that two people can tick two items at once, and the text of a
note is not in the way of either.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import peerstack

NOTE: Final = "note"
ITEM: Final = "item"
LABEL: Final = "label"

INDEXES: Final = {NOTE: ["place", "pinned"], ITEM: ["note"]}
"""What `peerstack.open` is told of fields that are looked up often."""

SEARCH: Final = {NOTE: ["title", "labels", "body"], ITEM: ["text"]}
"""And of fields that are searched, where the first counts most."""

TITLE_CHARS: Final = 200
BODY_CHARS: Final = 40_000
"""A record has room for 60 KiB, in which a character may take up to four bytes."""

ITEM_CHARS: Final = 500
LABEL_CHARS: Final = 40
LABELS: Final = 20
_CARD_CHARS, _CARD_LINES = 240, 6


class Place(enum.StrEnum):
    """Where a note lies. What is in the bin can be taken out again, as it was."""

    DESK = "desk"
    ARCHIVE = "archive"
    BIN = "bin"


def place_of(value: object) -> Place:
    """The place of that name; the desk for what is none."""
    return next((place for place in Place if place == value), Place.DESK)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person writes in a note."""

    title: str = ""
    body: str = ""
    labels: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it to keep."""
        return not (self.title or self.body)


@dataclass(frozen=True, slots=True)
class Note:
    """One version of a note, as it is shown. Photos and files will stand beside `labels`."""

    record: peerstack.Record
    title: str
    body: str
    labels: tuple[str, ...]
    pinned: bool
    place: Place

    @property
    def id(self) -> str:
        """The same for all versions."""
        return self.record.id

    @property
    def version(self) -> str:
        """Which version this is."""
        return self.record.hash.hex()

    @property
    def heading(self) -> str:
        """What to call it: its title, or how its text begins."""
        return self.title or next(iter(self.body.strip().splitlines()), "") or "Untitled"

    @property
    def rest(self) -> str:
        """Its text, without what it is called by."""
        return self.body if self.title else "\n".join(self.body.strip().splitlines()[1:])

    @property
    def is_long(self) -> bool:
        """Whether its text does not fit on a card."""
        return len(self.rest) > _CARD_CHARS or self.rest.count("\n") > _CARD_LINES

    @property
    def changed_at(self) -> datetime:
        """When this version was written, in local time."""
        return self.record.modified_at.astimezone()

    @property
    def draft(self) -> Draft:
        """What a person wrote in it."""
        return Draft(self.title, self.body, self.labels)


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a note's list."""

    record: peerstack.Record
    note: str
    text: str
    done: bool
    rank: float
    """Where it stands among the others: the lowest first."""

    @property
    def id(self) -> str:
        """The same for all versions."""
        return self.record.id


def note_of(record: peerstack.Record) -> Note:
    """The note that a record holds, whoever wrote it."""
    value = record.value
    return Note(
        record,
        _text(value, "title", TITLE_CHARS),
        _text(value, "body", BODY_CHARS),
        clean_labels(value.get("labels")),
        value.get("pinned") is True,
        place_of(value.get("place")),
    )


def note_value(draft: Draft, *, place: Place = Place.DESK, pinned: bool = False) -> dict[str, Any]:
    """The value of a note's record."""
    return {
        "title": draft.title,
        "body": draft.body,
        "labels": list(draft.labels),
        "place": place.value,
        "pinned": pinned,
    }


def item_of(record: peerstack.Record) -> Item:
    """The item that a record holds, whoever wrote it."""
    value = record.value
    return Item(
        record,
        _text(value, "note", ITEM_CHARS),
        _text(value, "text", ITEM_CHARS),
        value.get("done") is True,
        _number(value, "rank"),
    )


def item_value(note: str, text: str, rank: float, *, done: bool = False) -> dict[str, Any]:
    """The value of an item's record."""
    return {"note": note, "text": text[:ITEM_CHARS], "done": done, "rank": rank}


def clean_labels(labels: object) -> tuple[str, ...]:
    """The labels in a list of anything: without what is none, each once, in the given order."""
    found = labels if isinstance(labels, Iterable) and not isinstance(labels, str | Mapping) else ()
    texts = (
        " ".join(each.split())[:LABEL_CHARS].rstrip() for each in found if isinstance(each, str)
    )
    return tuple(dict.fromkeys(text for text in texts if text))[:LABELS]


def _text(value: Mapping[str, Any], field: str, chars: int) -> str:
    found = value.get(field)
    return found[:chars] if isinstance(found, str) else ""


def _number(value: Mapping[str, Any], field: str) -> float:
    found = value.get(field)
    return float(found) if isinstance(found, int | float) else 0.0
