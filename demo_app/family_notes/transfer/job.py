"""Moving many notes into and out of a group, a batch at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import peerstack
from family_notes.model import (
    BODY_CHARS,
    ITEM,
    ITEM_CHARS,
    LABEL,
    NOTE,
    TITLE_CHARS,
    Place,
    item_value,
    note_value,
)
from family_notes.notebook import Notebook
from family_notes.transfer.form import LeftOut, Line, Parcel

_PAGE: Final = 500
_BATCH: Final = 50
_LINES: Final = 200
"""Of one list; so the items of a batch can be stored at once."""


@dataclass(slots=True)
class Job:
    """An import that is under way, or has ended."""

    into: str
    """What the space is called."""
    all: int
    done: int = 0
    ended: bool = False
    problem: str = ""
    left_out: list[str] = field(default_factory=list)


async def bring_in(group: peerstack.Group, found: Sequence[Parcel | LeftOut], job: Job) -> None:
    """Write notes as new records. What ends it before the end stands in `job.problem`."""
    # Of tens of thousands, even a look at each would keep the pages waiting.
    parcels, labels = await asyncio.to_thread(_sorted_out, found, job)
    job.all = len(parcels)
    try:
        labels -= set(await Notebook(group).labels())
        await group.put_many(LABEL, [{"name": name} for name in sorted(labels)])
        for start in range(0, len(parcels), _BATCH):
            await _write(group, parcels[start : start + _BATCH], job)
    except peerstack.PeerstackError as error:
        job.problem = f"{error}. {job.done} of {job.all} notes are in “{job.into}” now."
    job.ended = True


def _sorted_out(found: Sequence[Parcel | LeftOut], job: Job) -> tuple[list[Parcel], set[str]]:
    """What can be kept, and all labels in it."""
    job.left_out += [each.why for each in found if isinstance(each, LeftOut)]
    parcels = [each for each in found if isinstance(each, Parcel) and _fits(each, job)]
    return parcels, {label for each in parcels for label in each.draft.labels}


async def take_out(book: Notebook) -> list[Parcel]:
    """All notes, wherever they lie."""
    found = []
    for place in Place:
        after: str | None = None
        while page := await book.notes(place, after=after, limit=_PAGE):
            items = await book.items(note.id for note in page)
            for note in page:
                lines = [Line(item.text, item.done) for item in items.get(note.id, [])]
                found.append(Parcel(note.draft, lines, note.pinned, note.place))
            after = page[-1].id
    return found


async def _write(group: peerstack.Group, parcels: Sequence[Parcel], job: Job) -> None:
    """Write a batch at once; where something in it cannot be stored, leave that out."""
    try:
        notes = await group.put_many(NOTE, [_value(each) for each in parcels])
    except peerstack.InvalidValue as error:
        if len(parcels) == 1:
            job.left_out.append(f"“{_called(parcels[0])}” cannot be stored: {error}")
            return
        half = len(parcels) // 2
        await _write(group, parcels[:half], job)
        await _write(group, parcels[half:], job)
        return
    pairs = zip(notes, parcels, strict=True)
    items = [value for note, parcel in pairs for value in _items(note.id, parcel.lines)]
    await group.put_many(ITEM, items)
    job.done += len(parcels)


def _value(parcel: Parcel) -> dict[str, Any]:
    pinned = parcel.pinned and parcel.place is Place.DESK
    return note_value(parcel.draft, place=parcel.place, pinned=pinned)


def _items(note: str, lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [
        item_value(note, line.text, rank, done=line.done)
        for rank, line in enumerate(lines)
        if line.text.strip()
    ]


def _fits(parcel: Parcel, job: Job) -> bool:
    """Whether all of it can be kept: nothing is cut off without a word."""
    lines = max((len(line.text) for line in parcel.lines), default=0)
    fits = (
        len(parcel.draft.title) <= TITLE_CHARS
        and len(parcel.draft.body) <= BODY_CHARS
        and lines <= ITEM_CHARS
        and len(parcel.lines) <= _LINES
    )
    if not fits:
        job.left_out.append(f"“{_called(parcel)}” is too long for a note")
    return fits


def _called(parcel: Parcel) -> str:
    return parcel.draft.title[:60] or "A note without a title"
