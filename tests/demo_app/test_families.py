"""Two people, each at a desk of their own, over a real signaling server and real connections."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

import peerstack
from family_notes.desk import Desk
from peerstack.engine import Turn
from peerstack.engine.writing import add_own_statements
from tests.demo_app.visitor import Visitor, visiting
from tests.people import T0
from tests.people import person as person_of
from tests.server_process import running_server, server_process

WAIT_S = 30


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


@asynccontextmanager
async def person(folder: Path, name: str, *servers: str) -> AsyncIterator[Visitor]:
    async with Desk(folder / name, servers) as desk:
        await desk.begin(name)
        async with visiting(desk) as visitor:
            yield visitor


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(WAIT_S):
        while not await look():
            await asyncio.sleep(0.05)


async def shown(visitor: Visitor, path: str, text: str) -> None:
    """Wait until a page says something."""

    async def look() -> bool:
        await visitor.go(path)
        return text in visitor.text

    await until(look)


async def found(visitor: Visitor, name: str) -> str:
    await visitor.send("families/create", name=name)
    return visitor.path.removesuffix("/people")


async def invited(host: Visitor, family: str, role: str = "writer") -> str:
    await host.send(f"{family}/invite", role=role, days="7", uses="one")
    [link, *_] = re.findall(r"peerstack:join:[\w-]+", host.page)
    return str(link)


async def test_a_family_from_the_invite_to_its_end(tmp_path: Path, server: str) -> None:
    async with person(tmp_path, "Ana", server) as ana, person(tmp_path, "Ben") as ben:
        family = await found(ana, "The Millers")
        await ana.send(f"{family}/notes", title="Shopping", items="Milk\nBread")
        note = ana.path
        link = await invited(ana, family)
        assert "<svg" in ana.page

        # Nothing happens before Ben accepts.
        await ben.send("families/offer", link=link)
        assert "Ana invites you to “The Millers”" in ben.text
        assert "You can read and write there" in ben.text
        assert "The Millers" not in (await ben.go("spaces"))

        await ben.send("families/join", link=link)
        await shown(ben, "spaces", "The Millers")
        await shown(ben, note, "Bread")

        # Both see each other, and each other's ticks.
        await shown(ana, "connection", "Connected to Ben")
        await shown(ana, f"{family}/people", "Ben online · can read and write")
        item = re.findall(r"/i/(\w+)/tick", ben.page)[0]
        await ben.send(f"{note}/i/{item}/tick", done="yes")

        async def is_ticked() -> bool:
            return 'aria-checked="true"' in await ana.go(note)

        await until(is_ticked)

        # A reader may look, and is shown nothing that they may not do.
        ben_id = re.findall(r"/people/(\w+)/role", await ana.go(f"{family}/people"))[0]
        await ana.send(f"{family}/people/{ben_id}/role", role="reader")
        await shown(ben, f"{family}/people", "Ben you online · can read")

        async def may_only_read() -> bool:
            return "Edit" not in await ben.go(note)

        await until(may_only_read)
        await ben.send(f"{note}/i/{item}/tick", done="no")
        assert ben.status == 403
        assert "you are a reader" in ben.text
        await ben.send(f"{family}/people/{ben_id}/role", role="admin")
        assert ben.status == 403

        await ana.go(f"{family}/people/{ben_id}/remove")
        assert "What Ben wrote stays" in ana.text
        await ana.send(f"{family}/people/{ben_id}/remove")
        assert "Ben" not in ana.text

        async def is_gone() -> bool:
            return "The Millers" not in await ben.go("spaces")

        await until(is_gone)
        await ben.go(note)
        assert ben.status == 404


async def test_an_edit_that_was_replaced_unseen_is_shown_beside_the_other(
    tmp_path: Path, server: str
) -> None:
    async with person(tmp_path, "Ana", server) as ana:
        family = await found(ana, "The Millers")
        await ana.send(f"{family}/notes", title="Cake", body="one egg")
        note = ana.path
        async with person(tmp_path, "Ben") as ben:
            await ben.send("families/join", link=await invited(ana, family))
            await shown(ben, note, "one egg")

        # Ben is away while both write: Ana first, and Ben, who does not see it, later.
        await edit(ana, note, "two eggs")
        async with Desk(tmp_path / "Ben", network=False) as away, visiting(away) as ben:
            await edit(ben, note, "three eggs")
        async with person(tmp_path, "Ben"):
            await shown(ana, f"{family}/cards", "An edit of yours was replaced")

        await ana.go(f"{family}/replaced")
        assert ana.text.index("three eggs") < ana.text.index("You,") < ana.text.index("two eggs")
        await ana.send(f"{family}/settle", key=ana.field("key"), choice="restore")

        assert ana.path == f"{family}/"
        assert "replaced" not in ana.text
        assert "two eggs" in await ana.go(note)


async def edit(visitor: Visitor, note: str, body: str) -> None:
    await visitor.go(f"{note}/edit")
    seen = visitor.field("seen")
    await visitor.send(f"{note}/save", title="Cake", body=body, labels="", seen=seen)


async def test_a_link_that_is_none_says_so(tmp_path: Path) -> None:
    async with Desk(tmp_path, network=False) as desk:
        await desk.begin("Ana")
        async with visiting(desk) as ana:
            await ana.send("families/offer", link="http://evil.example")

            assert ana.status == 400
            assert "this is no invite link" in ana.text


async def test_a_second_device_is_linked_by_six_digits_and_takes_its_notes_along(
    tmp_path: Path, server: str
) -> None:
    async with person(tmp_path, "Ana", server) as ana, person(tmp_path, "New") as new:
        family = await found(ana, "The Millers")
        await new.send("s/private/notes", title="Written before", items="kept")
        await ana.send("device/link/start")
        link = re.findall(r"peerstack:link:[\w-]+", ana.page)[0]
        await new.send("link/start", link=link)

        await shown(ana, "device/link", "Does it show these digits?")
        await shown(new, "link", "Does the other device show these digits?")
        digits = re.findall(r"\d{3} \d{3}", ana.text)
        assert digits == re.findall(r"\d{3} \d{3}", new.text)
        # Each page is told what it does not show yet, whichever of several asked first.
        for shown_there, status in (("waiting ", 200), (f"compare {digits[0]}", 204)):
            await ana.go_live(f"device/link/part?shown={shown_there}")
            assert ana.status == status
        await ana.send("device/link/confirm", digits=digits[0])
        assert "Linked" in ana.text

        await shown(new, "spaces", "The Millers")
        for visitor in (new, ana):
            await shown(visitor, "s/private/", "Written before")
            assert "kept" in visitor.text
        await ana.send(f"{family}/notes", title="From the old one")
        await shown(new, ana.path, "From the old one")
        names = sorted(path.name for path in (tmp_path / "New").iterdir())
        assert not any(name.startswith("notes.db") for name in names), names


async def test_who_is_in_a_family_already_is_told_before_linking(tmp_path: Path) -> None:
    async with Desk(tmp_path, network=False) as desk:
        await desk.begin("Ana")
        async with visiting(desk) as ana:
            await found(ana, "The Millers")

            await ana.send("link/start", link="peerstack:link:x")

            await shown(ana, "link", "you are in a family on this device already")


async def test_a_server_that_goes_and_comes_back_shows(tmp_path: Path) -> None:
    with ExitStack() as going:
        first = going.enter_context(server_process())
        async with person(tmp_path, "Ana", first.url) as ana:
            await shown(ana, "connection", "Looking for the others")
            first.stop()
            await shown(ana, "connection", "Offline")
            assert "no signaling server" in (await ana.go("device/connection")).lower()

            going.enter_context(server_process(port=first.port))
            await shown(ana, "connection", "Looking for the others")


async def test_a_family_whose_name_has_not_come_yet_is_called_by_no_id(tmp_path: Path) -> None:
    ana = person_of("ana")
    founding = ana.founds(T0 + 100)

    def add(turn: Turn) -> None:
        turn.tx.add_group(founding.group, T0)
        add_own_statements(turn, founding.group, [*ana.user.statements, founding])

    async with peerstack.open(tmp_path / "notes.db", ana.user, network=False) as node:
        await node.perform(add)
    async with Desk(tmp_path, network=False) as desk, visiting(desk) as visitor:
        await visitor.go(f"families/joining/{founding.group}?name=The+Millers")
        assert "Joining “The Millers”" in visitor.text

        await visitor.go("spaces")
        assert "A new family" in visitor.text
        assert founding.group not in visitor.text
