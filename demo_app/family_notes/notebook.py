"""The notes of one group: what can be done with them, by the public API of peerstack alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import peerstack
from family_notes.model import (
    ITEM,
    LABEL,
    NOTE,
    Draft,
    Item,
    Note,
    Place,
    item_of,
    item_value,
    note_of,
    note_value,
)

PAGE_NOTES: Final = 48
_FOUND: Final = 200


@dataclass(frozen=True, slots=True)
class Replaced:
    """Two versions of something, written unseen by each other: what is live, and what lost."""

    live: peerstack.Record
    lost: peerstack.Record
    note: Note | None
    """The note that it is about; None where that is gone."""

    @property
    def key(self) -> str:
        """Which version lost."""
        return self.lost.hash.hex()


@dataclass(frozen=True, slots=True)
class Reach:
    """Which of all devices have the present version of a note, with its whole list."""

    has: Sequence[peerstack.MemberDevice]
    lacks: Sequence[peerstack.MemberDevice]
    """Those that are not known to have all of it."""

    @property
    def others(self) -> int:
        """How many devices there are but this one."""
        return sum(not each.device.this for each in [*self.has, *self.lacks])


class Notebook:
    """The notes of a group, or the private ones where the group is the personal one."""

    def __init__(self, group: peerstack.Group) -> None:
        self._group = group

    # --- Reading. -------------------------------------------------------------------------------

    async def notes(
        self,
        place: Place = Place.DESK,
        *,
        pinned: bool | None = None,
        label: str | None = None,
        after: str | None = None,
        limit: int = PAGE_NOTES,
    ) -> list[Note]:
        """A page of notes, those changed last first. `after` is the last one of the page before."""
        where: dict[str, Any] = {"place": place.value}
        if pinned is not None:
            where["pinned"] = pinned
        if label is not None:
            where["labels"] = peerstack.contains(label)
        found = await self._group.find(
            NOTE,
            where,
            order_by="-modified",
            limit=limit,
            after=await self._group.get(after) if after else None,
        )
        return [note_of(record) for record in found]

    async def search(self, text: str) -> list[Note]:
        """The notes that have all of these words, in themselves or in one item; the best first.

        What lies in the bin is not found.
        """
        found = await self._group.search(text, limit=_FOUND)
        ids = dict.fromkeys(each.id if each.type == NOTE else item_of(each).note for each in found)
        notes = []
        for id in list(ids)[:PAGE_NOTES]:
            with suppress(peerstack.LocalError):
                notes.append(await self.note(id))
        return [note for note in notes if note.place is not Place.BIN]

    async def note(self, id: str) -> Note:
        """A note as it is now. Raises `peerstack.NotFound`."""
        record = await self._group.get(id)
        if record is None or record.type != NOTE:
            raise peerstack.NotFound("this note is not here any more")
        return note_of(record)

    async def items(self, notes: Iterable[str]) -> dict[str, list[Item]]:
        """The items of the lists of some notes, in order."""
        found: dict[str, list[Item]] = defaultdict(list)
        wanted = peerstack.one_of(*notes)
        for record in await self._group.find(ITEM, {"note": wanted}, order_by="id"):
            item = item_of(record)
            found[item.note].append(item)
        return {note: sorted(items, key=_in_order) for note, items in found.items()}

    async def reach(self, note: str, items: Iterable[Item]) -> Reach:
        """Which devices have a note and its list. Raises `peerstack.NotFound`."""
        found = await self._group.reached_many([note, *(item.id for item in items)])
        if note not in found:
            raise peerstack.NotFound("this note is not here any more")
        lacking = {each.device.id for reached in found.values() for each in reached.lacks}
        everybody = [*found[note].has, *found[note].lacks]
        return Reach(
            [each for each in everybody if each.device.id not in lacking],
            [each for each in everybody if each.device.id in lacking],
        )

    async def labels(self) -> list[str]:
        """Every label that was ever given here, by name."""
        found = await self._group.find(LABEL)
        return sorted({str(each.value.get("name", "")) for each in found} - {""}, key=str.casefold)

    async def history(self, id: str) -> list[Note]:
        """The versions of a note that are kept, the present one first."""
        return [note_of(each) for each in await self._group.history(id) if not each.deleted]

    # --- Notes. ---------------------------------------------------------------------------------

    async def write(self, draft: Draft, items: Sequence[str] = ()) -> Note:
        """A new note, with a list if there are items."""
        await self._know(draft.labels)
        note = note_of(await self._group.put(NOTE, note_value(draft)))
        if items:
            values = [item_value(note.id, text, rank) for rank, text in enumerate(items)]
            await self._group.put_many(ITEM, values)
        return note

    async def rewrite(self, id: str, draft: Draft, seen: Sequence[str]) -> Note:
        """Write a note anew, over the versions that its author was looking at.

        Raises `peerstack.NotFound` where the note is gone.
        """
        now = await self.note(id)
        await self._know(draft.labels)
        value = now.record.value | note_value(draft, place=now.place, pinned=now.pinned)
        looked_at = [each for each in await self._group.history(id) if each.hash.hex() in seen]
        return note_of(await self._group.put(NOTE, value, over=looked_at or now.record))

    async def move(self, id: str, place: Place) -> None:
        """Put a note somewhere else. What leaves the desk is not pinned any more."""
        await self._group.update(id, {"place": place.value, "pinned": False})

    async def pin(self, id: str, *, pinned: bool) -> None:
        """Have a note stand before all others, or no more."""
        await self._group.update(id, {"pinned": pinned})

    async def restore(self, id: str, version: str) -> None:
        """Make a version of the history the present one. Raises `peerstack.NotFound`."""
        now = await self.note(id)
        for each in await self._group.history(id):
            if each.hash.hex() == version:
                wanted = note_of(each).draft
                value = now.record.value | note_value(wanted, place=now.place, pinned=now.pinned)
                await self._group.put(NOTE, value, over=[now.record, each])
                return
        raise peerstack.NotFound("this version is not kept any more")

    async def delete(self, id: str) -> None:
        """Delete a note for good, with its list."""
        for item in (await self.items([id])).get(id, []):
            await self._group.delete(item.id)
        await self._group.delete(id)

    async def _know(self, labels: Iterable[str]) -> None:
        """Note which labels there are, so that they can be listed without reading all notes."""
        fresh = set(labels) - set(await self.labels())
        await self._group.put_many(LABEL, [{"name": name} for name in sorted(fresh)])

    # --- Lists. ---------------------------------------------------------------------------------

    async def add_item(self, note: str, text: str) -> None:
        """A further item, behind all others. Raises `peerstack.NotFound` without the note."""
        await self.note(note)
        others = (await self.items([note])).get(note, [])
        rank = max((item.rank for item in others), default=-1.0) + 1
        await self._group.put(ITEM, item_value(note, text, rank))

    async def tick(self, item: str, *, done: bool) -> None:
        """Tick an item, or take the tick away. All else that others make of it stays."""
        await self._group.update(item, {"done": done})

    async def reword(self, item: str, text: str) -> None:
        """Give an item another text."""
        await self._group.update(item, {"text": text})

    async def remove_item(self, item: str) -> None:
        """Take an item off its list."""
        await self._group.delete(item)

    async def lift(self, note: str, item: str, *, by: int) -> None:
        """Move an item up (`by` is -1) or down (1) by one place; at the end, nothing happens."""
        items = (await self.items([note])).get(note, [])
        order = [each.id for each in items]
        if item not in order:
            raise peerstack.NotFound("this item is not on the list any more")
        here = order.index(item)
        there = here + by
        if 0 <= there < len(items):
            beyond = there + by
            far = items[beyond].rank if 0 <= beyond < len(items) else items[there].rank + by
            await self._group.update(item, {"rank": (items[there].rank + far) / 2})

    # --- What somebody else's edit has replaced. ------------------------------------------------

    async def replaced(self, author: str) -> list[Replaced]:
        """What this author wrote and somebody replaced who had not seen it."""
        lost = [each for each in await self._group.conflicts() if each.signer == author]
        return [
            Replaced(await self._live(each.id), each, await self._about(each))
            for each in lost
            if each.type in (NOTE, ITEM)
        ]

    async def settle(self, key: str, *, restore: bool) -> None:
        """Keep what is live, or restore what lost. Raises `peerstack.NotFound` where it is settled.

        What was deleted meanwhile, and stays so, is deleted again: its author has seen both now.
        """
        for lost in await self._group.conflicts():
            if lost.hash.hex() == key:
                live = await self._live(lost.id)
                await self._settle(live, lost, lost if restore else live)
                return
        raise peerstack.NotFound("this was settled already")

    async def _settle(
        self, live: peerstack.Record, lost: peerstack.Record, chosen: peerstack.Record
    ) -> None:
        value = lost.value if chosen.deleted else chosen.value
        await self._group.put(lost.type, value, over=[live, lost])
        if chosen.deleted:
            await self._group.delete(chosen.id)

    async def _live(self, id: str) -> peerstack.Record:
        """What is live of a record of which versions lost; a deletion, too."""
        return (await self._group.history(id))[0]

    async def _about(self, lost: peerstack.Record) -> Note | None:
        id = lost.id if lost.type == NOTE else item_of(lost).note
        try:
            return await self.note(id)
        except peerstack.LocalError:
            return None


def _in_order(item: Item) -> tuple[float, str]:
    return (item.rank, item.id)
