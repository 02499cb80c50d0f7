"""Judged again where there is no network: by the process that heard of an end, or the next one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import peerstack
from peerstack import limits
from peerstack.engine import Turn, records
from peerstack.engine.merging import merge
from peerstack.engine.writing import add_own_statements
from peerstack.groups.seals import seal_root
from peerstack.groups.statements import CLOSE_TYPE, SEAL_TYPE, Close, Seal
from peerstack.identity import REVOKE_TYPE, ROTATE_TYPE, Revocation, Rotation
from peerstack.ids import GroupId, as_group
from peerstack.keys import Signer
from peerstack.record import Signed
from tests.people import T0, Person, person

FOUNDED, ENDED = T0 + 100, T0 + 1_000


@dataclass(frozen=True)
class Story:
    """A group of ana, who founded it, ben and cleo, whose device it is."""

    ana: Person
    ben: Person
    cleo: Person
    founding: Signed
    statements: Sequence[Signed]
    admitted: Signed

    @property
    def group(self) -> GroupId:
        return self.founding.group

    def closes(self, named: Sequence[Signed] = ()) -> Sequence[Signed]:
        """Ana ends ben's right: of what he wrote, these versions stay."""
        hashes = sorted(each.hash for each in named)
        root, count = seal_root(hashes).hex(), len(hashes)
        under = self.founding.hash.hex()
        form = Close(under, self.admitted.hash.hex(), count, root)
        closed = self.ana.states(self.group, CLOSE_TYPE, ENDED, form)
        seal = Seal(under, closed.hash.hex(), count, root, 0, [each.hex() for each in hashes])
        return closed, self.ana.states(self.group, SEAL_TYPE, ENDED + 1, seal)


@pytest.fixture(scope="module")
def story() -> Story:
    ana, ben, cleo = person("ana"), person("ben"), person("cleo")
    founding = ana.founds(FOUNDED)
    invite = ana.invites(founding, FOUNDED + 1)
    joins = [each.joins(invite, FOUNDED + 2) for each in (ben, cleo)]
    admits = [ana.admits(founding, join, FOUNDED + 3) for join in joins]
    who = [each for them in (ana, ben, cleo) for each in them.user.statements]
    return Story(ana, ben, cleo, founding, [*who, founding, invite, *joins, *admits], admits[0])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cleo.db"


@pytest.fixture
async def group(path: Path, story: Story) -> AsyncIterator[peerstack.Group]:
    """The group on cleo's device, with nothing but its statements."""
    async with peerstack.open(path, story.cleo.user, network=False) as node:
        await begin(node, story)
        yield await node.group(story.group)


async def begin(node: peerstack.Node, story: Story) -> None:
    def act(turn: Turn) -> None:
        turn.tx.add_group(story.group, T0)
        add_own_statements(turn, story.group, story.statements)

    await node.perform(act)


async def learn(node: peerstack.Node, group: GroupId, statements: Sequence[Signed]) -> None:
    await node.perform(lambda turn: add_own_statements(turn, group, statements))


async def receive(group: peerstack.Group, *records: Signed) -> None:
    def act(turn: Turn) -> None:
        merge(turn, group.id, records, records[0].device)

    await group._node.perform(act)


async def titles(group: peerstack.Group) -> set[str]:
    return {note.value["title"] for note in await group.find("note")}


async def become(group: peerstack.Group, *wanted: str) -> None:
    """Wait until the group has notes with these titles, and no others."""

    def look(turn: Turn) -> set[str] | None:
        found = {note.value["title"] for note in turn.tx.find(group.id, "note")}
        return found if found == set(wanted) else None

    await group._node.until(look, 10)


async def test_an_app_sees_what_left_and_what_returned(
    group: peerstack.Group, story: Story
) -> None:
    note = story.ana.writes(group.id, ENDED - 20, {"title": "Milk"})
    edit = story.ben.writes(group.id, ENDED - 10, {"title": "mine"}, id=note.id)
    await receive(group, note)
    await receive(group, edit)
    changes = group.changes()
    lists = group.live("note")
    assert [each.value["title"] for each in await anext(lists)] == ["mine"]

    await learn(group._node, group.id, story.closes())

    left, returned = await anext(changes), await anext(changes)
    assert (left.record.hash, left.previous, left.withdrawn) == (edit.hash, None, True)
    assert (returned.record.hash, returned.withdrawn) == (note.hash, False)
    assert returned.previous == left.record
    assert (left.origin, returned.origin) == (story.ben.user.device, story.ana.user.device)
    assert [each.value["title"] for each in await anext(lists)] == ["Milk"]
    assert group._node.status().groups[-1].quarantined == 1


async def test_the_quarantine_is_read_page_by_page_the_latest_first(
    group: peerstack.Group, story: Story
) -> None:
    mine = [story.ben.writes(group.id, ENDED - n, {"title": str(n)}) for n in range(1, 8)]
    await receive(group, *mine)
    closed, seal = story.closes()
    await learn(group._node, group.id, [closed, seal])
    await become(group)

    first = await group.quarantine(limit=4)
    rest = await group.quarantine(limit=4, after=first[-1])
    await group._node.perform(
        lambda turn: turn.tx.quarantine([(story.ben.writes(group.id, 5), "x")], 2**42)
    )

    assert {each.record.hash for each in first + rest} == {each.hash for each in mine}
    assert len(rest) == 3
    assert {each.why for each in first + rest} == {closed.hash.hex()}
    assert all(each.since_at.year >= 2026 for each in first)
    assert [each.since for each in await group.quarantine(limit=1)] == [2**42]
    assert await group.quarantine(limit=0) == []


async def test_a_quarantine_is_not_read_backwards(group: peerstack.Group) -> None:
    with pytest.raises(peerstack.InvalidQuery, match="0 or more"):
        await group.quarantine(limit=-1)


async def test_judging_goes_on_in_the_next_process(
    path: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SLICE_RECORDS", 5)
    mine = [story.ben.writes(story.group, ENDED - n, {"title": str(n)}) for n in range(1, 60)]
    async with peerstack.open(path, story.cleo.user, network=False) as node:
        await begin(node, story)
        await receive(await node.group(story.group), *mine)
        await learn(node, story.group, story.closes())
        left = len(await (await node.group(story.group)).find("note"))

    async with peerstack.open(path, network=False) as node:
        group = await node.group(story.group)
        assert left > 0
        await become(group)
        assert len(await group.quarantine()) == 59


async def test_another_process_goes_on_with_what_one_has_left(
    path: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = [story.ben.writes(story.group, ENDED - n, {"title": str(n)}) for n in range(1, 9)]
    async with (
        peerstack.open(path, story.cleo.user, network=False) as node,
        peerstack.open(path, network=False) as other,
    ):
        await begin(node, story)
        await receive(await node.group(story.group), *mine)
        # This one is busy with something else from now on, so to say.
        monkeypatch.setattr(node._engine._upkeep, "_judge", lambda turn: None)
        await learn(node, story.group, story.closes())

        await become(await other.group(story.group))


async def test_what_a_revoked_device_wrote_falls_in_each_group_of_its_user(
    group: peerstack.Group, story: Story
) -> None:
    phone = story.ben.at_new_device("phone", FOUNDED + 10)
    certificate = phone.user.statements[-1]
    await learn(group._node, story.ben.user.id, [certificate])
    by_phone = phone.writes(group.id, ENDED + 10, {"title": "by phone"})
    by_laptop = story.ben.writes(group.id, ENDED + 10, {"title": "by laptop"})
    await receive(group, by_phone, by_laptop)
    form = Revocation(story.ben.user.statements[0].hash.hex(), phone.user.device)
    revoked = story.ben.states_as_root(REVOKE_TYPE, ENDED, form)

    def revoke(turn: Turn) -> None:
        # Who adds it knows of no other group, though one was looked at before.
        assert turn.state(group.id).role(story.ben.id) is not None
        add_own_statements(turn, as_group(story.ben.id), [revoked])

    await group._node.perform(revoke)

    await become(group, "by laptop")
    assert [each.why for each in await group.quarantine()] == ["device-ended"]


async def test_what_was_signed_under_a_disputed_root_falls(
    group: peerstack.Group, story: Story
) -> None:
    phone = await tablet(group, story)
    by_phone = phone.writes(group.id, ENDED, {"title": "by phone"})
    await receive(group, by_phone)

    await learn(group._node, group.id, [rotation(story.ben, 2)])

    await become(group)
    assert [each.why for each in await group.quarantine()] == ["unknown-device"]


async def test_what_is_held_for_a_dispute_is_not_checked_again_while_that_lasts(
    group: peerstack.Group, story: Story
) -> None:
    phone = await tablet(group, story)
    held = phone.writes(group.id, ENDED, {"title": "by phone"})

    def hold(turn: Turn) -> list[Signed]:
        sender = held.device
        turn.tx.hold([held], sender, turn.now.wall_ms, waits_for="statement")
        taken_up = records.taken_up(turn, turn.state(group.id), [held])
        return [] if taken_up is None else list(taken_up.items)

    assert await group._node.perform(hold) == [held]

    await learn(group._node, group.id, [rotation(story.ben, 2)])

    assert await group._node.perform(hold) == []


async def tablet(group: peerstack.Group, story: Story) -> Person:
    """Ben at a device that his second root key has certified."""
    first = rotation(story.ben, 1)
    made = story.ben.at_new_device("tablet", FOUNDED + 20, under=first.hash)
    certificate = story.ben.certifies(
        FOUNDED + 20, under=first.hash, key=made.user.device_key, root=next_root(story.ben)
    )
    await learn(group._node, group.id, [first, certificate])
    return made


def rotation(who: Person, number: int) -> Signed:
    """A rotation to the second root key; those of two numbers are a fork."""
    first, *certificates = who.user.statements
    root, keeps = next_root(who), [each.hash.hex() for each in certificates]
    form = Rotation(first.hash.hex(), root.public.hex(), f"{number:064x}", keeps)
    return who.states_as_root(ROTATE_TYPE, FOUNDED + 10 + number, form, root=root)


def next_root(who: Person) -> Signer:
    assert who.user.recovery is not None
    return Signer(who.user.recovery)
