"""All that one device can say of what it holds, by the public API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import peerstack

RECORDS = 60

Values = Mapping[str, Sequence[Any]]


class Read(NamedTuple):
    """What was read of the group, and what the status says of it."""

    values: Values
    """The values of each record: the live one, then those in history."""
    problems: str


async def make_profile(path: Path) -> Values:
    """A profile with a group, records, edits and an index; closed. What is in it."""
    async with peerstack.open(path, "Ana", network=False, indexes={"note": ["n"]}) as node:
        family = await node.create_group("Family")
        for number in range(RECORDS):
            value = {"n": number, "text": "to be kept " * 30}
            note = await family.put("note", value)
            if number % 3 == 0:
                await family.update(note.id, {"edited": True})
        return (await read(node)).values


async def read_all(path: Path) -> Read:
    """Open a profile, without a network, and read everything. Raises as `open` and reads do."""
    async with peerstack.open(path, network=False) as node:
        return await read(node)


async def read(node: peerstack.Node) -> Read:
    (family,) = await node.groups()
    await family.members()
    found = await family.find("note")
    values: Values = {
        str(each.id): [v.value for v in await family.history(each.id)] for each in found
    }
    return Read(values, " ".join(node.status().problems))


async def check(path: Path) -> list[str]:
    """What `check` takes out of use, by id."""
    async with peerstack.open(path, network=False) as node:
        return [broken.id for broken in await node.check()]
