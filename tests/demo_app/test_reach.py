"""Which devices a note has reached, on its page."""

from __future__ import annotations

from pathlib import Path

import peerstack
from family_notes.desk import Desk
from tests.demo_app.visitor import visiting
from tests.node.company import let_in
from tests.node.test_reached import says_that_it_has
from tests.people import person

ANA, BEN = person("ana"), person("ben")


async def test_a_note_says_which_devices_have_it_with_its_whole_list(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "notes.db", ANA.user, network=False) as node:
        family = await node.create_group("Family")
        await let_in(node, family.id, ANA, BEN)
    async with Desk(tmp_path, network=False) as desk, visiting(desk) as ana:
        await ana.send(f"s/{family.id}/notes", title="Shopping", items="Milk")
        note = ana.path
        assert "Only on this device as yet" in ana.text
        assert "ben, ben's laptop: not yet" in ana.text

        group = await desk.node.group(family.id)
        [record] = await group.find("note")
        await says_that_it_has(desk.node, family.id, BEN, record)
        assert "Only on this device" in await ana.go_live(f"{note}/reach"), "the item is missing"

        [item] = await group.find("item")
        await says_that_it_has(desk.node, family.id, BEN, item)
        await ana.go_live(f"{note}/reach")
        assert "On all 2 devices" in ana.text
        assert "every 3s" not in ana.page


async def test_where_there_is_one_device_alone_nothing_is_said_of_others(tmp_path: Path) -> None:
    async with Desk(tmp_path, network=False) as desk, visiting(desk) as ana:
        await desk.begin("Ana")
        await ana.send("s/private/notes", title="Milk")

        assert "Milk" in ana.text
        assert 'id="reach"' not in ana.page
