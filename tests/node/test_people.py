"""Knowing who it is: members, whose keys were compared, the app's names, one's own devices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import peerstack
from peerstack.engine.merging import merge
from peerstack.engine.people import DEVICE_NAME_TYPE, VERIFIED_TYPE
from peerstack.ids import UserId, as_user
from peerstack.record import Signed
from tests.node.company import let_in, rotate
from tests.people import Person, person

ANA, BEN, EVE = person("ana"), person("ben"), person("eve")


@asynccontextmanager
async def ana_and_ben(path: Path, **options: Any) -> AsyncIterator[tuple[peerstack.Node, Any]]:
    """Ana's node, and a group in which Ben is a writer."""
    async with peerstack.open(path / "ana.db", ANA.user, network=False, **options) as node:
        family = await node.create_group("Family")
        await let_in(node, family.id, ANA, BEN)
        yield node, family


async def member(group: peerstack.Group, user: UserId) -> peerstack.Member:
    (found,) = (each for each in await group.members() if each.user == user)
    return found


def kept(node: peerstack.Node, type_name: str) -> Any:
    """The records of a type in the personal group, as they are signed."""
    return node.read(lambda snapshot: snapshot.find(node.user.id, type_name))


# --- Members. -------------------------------------------------------------------------------------


async def test_a_member_has_a_name_a_role_devices_and_a_fingerprint(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as (node, family):
        ana, ben = await family.members()

        assert (ana.name, ana.role, ben.name, ben.role) == ("ana", "admin", "ben", "writer")
        (device,) = ben.devices
        certificate = BEN.user.statements[1]
        assert (device.id, device.name) == (BEN.user.device, "ben's laptop")
        assert (device.since_ms, device.revoked_ms) == (certificate.modified, None)
        assert device.active
        assert not device.this
        assert ana.devices[0].this
        assert ben.fingerprint.root == BEN.root.public
        assert ben.fingerprint == await node.fingerprint(BEN.id)
        assert ana.fingerprint == await node.fingerprint()


async def test_without_a_network_nobody_is_known_to_be_online(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as (node, family):
        devices = [device for each in await family.members() for device in each.devices]

        assert [device.online for device in devices + await node.devices()] == [None] * 3


async def test_the_apps_address_book_names_those_whom_it_knows(tmp_path: Path) -> None:
    asked = []

    def name_of(user: UserId) -> str | None:
        asked.append(user)
        return "Uncle Ben" if user == BEN.id else None

    async with ana_and_ben(tmp_path, address_book=name_of) as (_, family):
        assert [each.name for each in await family.members()] == ["Uncle Ben", "ana"]
        assert set(asked) == {ANA.id, BEN.id}


async def test_what_the_address_book_raises_comes_out_and_harms_nothing(tmp_path: Path) -> None:
    def broken(user: UserId) -> str | None:
        raise KeyError("contacts")

    async with ana_and_ben(tmp_path, address_book=broken) as (_, family):
        with pytest.raises(KeyError) as caught:
            await family.members()

        assert "address_book" in caught.value.__notes__[0]
        await family.put("note", {"title": "still here"})


async def test_an_address_book_that_gives_no_text_is_told_so(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path, address_book=lambda user: 7) as (_, family):
        with pytest.raises(peerstack.InvalidValue, match="int"):
            await family.members()


# --- Whose keys were compared. --------------------------------------------------------------------


async def test_a_member_is_verified_once_compared_and_until_that_is_taken_back(
    tmp_path: Path,
) -> None:
    async with ana_and_ben(tmp_path) as (node, family):
        assert (await member(family, BEN.id)).verified == "no"

        await node.verify(BEN.id, (await member(family, BEN.id)).fingerprint)
        assert (await member(family, BEN.id)).verified == "yes"
    async with peerstack.open(tmp_path / "ana.db", network=False) as node:
        family = await node.group("Family")
        assert (await member(family, BEN.id)).verified == "yes"

        await node.unverify(BEN.id)
        await node.unverify(BEN.id)
        assert (await member(family, BEN.id)).verified == "no"

        await node.verify(BEN.id)
        assert (await member(family, BEN.id)).verified == "yes"


async def test_a_change_of_keys_shows_until_they_are_compared_again(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path, address_book=lambda _: "Somebody") as (node, family):
        await node.verify(BEN.id)
        assert node.status().problems == []

        await rotate(node, family.id, BEN)

        assert (await member(family, BEN.id)).verified == "changed"
        (problem,) = node.status().problems
        assert "Somebody" in problem
        assert "compare" in problem
        await node.verify(BEN.id)
        assert (await member(family, BEN.id)).verified == "yes"
        assert node.status().problems == []


async def test_a_change_of_keys_is_no_reason_why_nothing_is_level(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as (node, family):
        await node.verify(BEN.id)
        await rotate(node, family.id, BEN)

        with pytest.raises(peerstack.NotSynced) as caught:
            await node.wait_synced(0)

        assert "keys" not in str(caught.value)


async def test_a_change_of_keys_of_somebody_never_compared_is_no_problem(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as (node, family):
        await rotate(node, family.id, BEN)

        assert (await member(family, BEN.id)).verified == "no"
        assert node.status().problems == []


async def test_keys_that_change_while_two_compare_are_not_taken_for_compared(
    tmp_path: Path,
) -> None:
    async with ana_and_ben(tmp_path) as (node, family):
        shown = await node.fingerprint(BEN.id)
        await rotate(node, family.id, BEN)

        with pytest.raises(peerstack.InvalidValue, match="compare again"):
            await node.verify(BEN.id, shown)

        assert (await member(family, BEN.id)).verified == "no"


async def test_strangers_and_oneself_cannot_be_verified(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as (node, family):
        for nobody in (EVE.id, as_user(family.id), as_user("nonsense")):
            with pytest.raises(peerstack.NotFound, match=nobody):
                await node.verify(nobody)
        with pytest.raises(peerstack.InvalidValue, match="yourself"):
            await node.verify(ANA.id)
        assert (await member(family, ANA.id)).verified == "yes"


async def test_marks_and_names_are_no_records_of_the_app(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as (node, _):
        await node.personal.put("note", {})
        changes = node.personal.changes(since=0)
        await node.verify(BEN.id)
        await node.rename_device(ANA.user.device, "kitchen")
        await node.unverify(BEN.id)
        last = await node.personal.put("note", {})

        assert await node.personal.types() == {"note": 2}
        seen = [await anext(changes), await anext(changes)]
        assert seen[-1].record == last
        (personal,) = (each for each in node.status().groups if each.name == "personal")
        assert personal.records == 2
        (mark,) = await kept(node, DEVICE_NAME_TYPE)
        for use in (
            node.personal.update(mark.id, {"name": "x"}),
            node.personal.delete(mark.id),
        ):
            with pytest.raises(peerstack.InvalidValue, match="reserved"):
                await use


async def test_ones_other_devices_learn_of_marks_and_names(tmp_path: Path) -> None:
    """A record of either kind is all that they need."""
    other = ANA.at_new_device("phone", ANA.user.statements[1].modified + 1)
    async with (
        ana_and_ben(tmp_path) as (node, _),
        peerstack.open(tmp_path / "phone.db", other.user, network=False) as phone,
    ):
        await node.verify(BEN.id)
        await node.rename_device(ANA.user.device, "kitchen")
        records = [*await kept(node, VERIFIED_TYPE), *await kept(node, DEVICE_NAME_TYPE)]

        club = await phone.create_group("Club")
        await let_in(phone, club.id, other, BEN)
        await receive(phone, records)

        assert (await member(club, BEN.id)).verified == "yes"
        assert [device.name for device in await phone.devices()] == ["kitchen", "another device"]


async def receive(node: peerstack.Node, records: list[Signed]) -> None:
    await node.perform(lambda turn: merge(turn, node.user.id, records, None))


@pytest.mark.parametrize("value", [{}, {"root": 7}, {"root": "zz"}, {"root": "00" * 31}])
async def test_a_mark_that_makes_no_sense_marks_nobody(
    value: dict[str, object], tmp_path: Path
) -> None:
    async with ana_and_ben(tmp_path) as (node, family):
        wrong: dict[str, object] = {"root": BEN.root.public.hex()}
        ids_and_values = [(f"{BEN.id}:verified", value), (f"{BEN.id}:other", wrong)]
        await receive(node, [mark(ANA, *each) for each in ids_and_values])

        assert (await member(family, BEN.id)).verified == "no"
        assert node.status().problems == []


def mark(user: Person, record_id: str, value: dict[str, object]) -> Signed:
    return user.writes(user.id, value=value, type_name=VERIFIED_TYPE, id=record_id)


# --- One's own devices. ---------------------------------------------------------------------------


async def test_own_devices_are_listed_and_renamed(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", ANA.user, network=False) as node:
        (device,) = await node.devices()
        assert (device.id, device.name, device.this) == (ANA.user.device, "ana's laptop", True)
        assert device.active

        await node.rename_device(device.id, "kitchen")

        assert [each.name for each in await node.devices()] == ["kitchen"]
        (me,) = await node.personal.members()
        assert [each.name for each in me.devices] == ["kitchen"]


@pytest.mark.parametrize("name", ["", "x" * 129, "nul\0", "\ud800"])
async def test_a_device_gets_no_name_that_nobody_could_read(name: str, tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", ANA.user, network=False) as node:
        with pytest.raises(peerstack.InvalidValue):
            await node.rename_device(ANA.user.device, name)

        assert [each.name for each in await node.devices()] == ["ana's laptop"]


async def test_only_ones_own_devices_can_be_renamed(tmp_path: Path) -> None:
    async with ana_and_ben(tmp_path) as (node, _):
        for device in (BEN.user.device, "nonsense"):
            with pytest.raises(peerstack.NotFound, match=device):
                await node.rename_device(device, "mine")


async def test_a_device_that_a_rotation_did_not_keep_is_listed_as_such(tmp_path: Path) -> None:
    phone = ANA.at_new_device("phone", ANA.user.statements[1].modified + 1)
    async with peerstack.open(tmp_path / "ana.db", phone.user, network=False) as node:
        assert [each.active for each in await node.devices()] == [True, True]

        await rotate(node, node.user.id, ANA)

        found = {each.id: each for each in await node.devices()}
        assert found[ANA.user.device].active
        assert not found[phone.user.device].active
        assert found[phone.user.device].revoked_ms is None
