"""What the demo shows, step by step, each with a line on why it matters."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from peerstack.cli.demo.notes import write_notes
from peerstack.cli.demo.programs import (
    DemoFailed,
    Device,
    Event,
    Program,
    signaling_server,
)
from peerstack.cli.output import plural, printable, size_text
from peerstack.cli.progress import GroupProgress, group_bars

_LINK_SHOWN: Final = 40
_TITLE_SHOWN: Final = 60

ShowGroups = Callable[[list[GroupProgress]], None]


class Crossing(NamedTuple):
    """What crossed the wire in one sync, in both directions."""

    size_bytes: int
    messages: int
    records: int

    def __str__(self) -> str:
        return (
            f"{size_text(self.size_bytes)} in {plural(self.messages, 'message')} "
            f"for {plural(self.records, 'record')}"
        )


async def tell(count: int) -> None:
    """The whole demo. Raises `DemoFailed` unless both devices end with the same records."""
    with tempfile.TemporaryDirectory(prefix="peerstack-demo-") as name:
        folder = Path(name)
        steps = _Steps()
        click.echo("Two devices share notes: separate programs, each with a database of its own.\n")
        steps.say("A signaling server starts. Devices meet there; it cannot tell who they are.")
        async with signaling_server(folder) as server:
            steps.detail(server)
            await _Story(steps, folder, server).tell(count)
    click.echo("\nAll temporary files are gone. Your turn: `peerstack put note title=Milk`")


class _Steps:
    """Numbers what is told."""

    def __init__(self) -> None:
        self._number = 0
        self._noted = set[str]()

    def say(self, text: str) -> None:
        self._number += 1
        click.secho(f"{self._number:2}  {text}", bold=True)

    def detail(self, text: str) -> None:
        click.echo(f"    {printable(text)}")

    def note(self, problem: str) -> None:
        """Tell of a problem, once: all devices here have the same network."""
        if problem not in self._noted:
            self._noted.add(problem)
            self.detail(f"note: {problem}")


class _Story:
    """Ana, Ben, and what happens to their notes."""

    def __init__(self, steps: _Steps, folder: Path, server: str) -> None:
        self._say = steps.say
        self._detail = steps.detail
        self._note = steps.note
        self._folder = folder
        self._server = server
        self._ana = Device("Ana", folder)
        self._ben = Device("Ben", folder)
        self._group = ""

    async def tell(self, count: int) -> None:
        await self._import_notes(count)
        link = await self._invite()
        first = await self._meet(link)
        await self._check_level(at_least=count)
        note = await self._edit_apart()
        second = await self._meet_again(note)
        self._say("Both are level: every record was signed by its author and checked on arrival.")
        same = await self._check_level(at_least=count)
        self._detail(f"{plural(same, 'record')}, with the same hashes on both devices")
        self._detail(f"first sync:   {first}")
        self._detail(f"second sync:  {second}")

    async def _import_notes(self, count: int) -> None:
        self._say("Real notes are collected: docstrings of Python's standard library.")
        file = self._folder / "notes.jsonl"
        notes = write_notes(file, count)
        if len(notes) < count:
            raise DemoFailed(f"the standard library here has but {len(notes)} docstrings")
        modules = len({note.module for note in notes})
        size = size_text(file.stat().st_size)
        self._detail(f"{plural(len(notes), 'note')} from {plural(modules, 'module')}, {size}")
        self._say("Ana makes a profile and a group, and imports them. No network is needed.")
        await self._ana.do("init", "--name", "Ana", "--server", self._server)
        (group,) = await self._ana.do("group", "create", "Family")
        self._group = group["id"]
        (done,) = await self._ana.do("import", str(file), "--type", "note")
        self._detail(f"{plural(done['imported'], 'note')} signed and stored on Ana's device")
        (status,) = await self._ana.do("status")
        for problem in status["problems"]:
            self._note(problem)

    async def _invite(self) -> str:
        self._say("Ana invites Ben. The link is the only secret they have to pass on.")
        (invited,) = await self._ana.do("invite")
        link: str = invited["link"]
        self._detail(f"{link[:_LINK_SHOWN]}...")
        return link

    async def _meet(self, link: str) -> Crossing:
        async with self._ana.running("sync", "--stay") as ana:
            await ana.until(_is("online"))
            self._say("Ben joins: Ana's device lets him in, over an encrypted direct connection.")
            await self._ben.do("init", "--name", "Ben")
            # Where it takes long, the command says why first.
            *_, joined = await self._ben.do("join", link, "--yes")
            self._detail(f"Ben is {joined['role']} in {joined['name']!r}")
            self._say("They sync: compare what each holds, and send only what is missing.")
            async with self._ben.running("sync", "--stay") as ben:
                return await self._until_level(ana, ben)

    async def _edit_apart(self) -> str:
        self._say("Both go offline and edit the same note. Each has all data, so both can.")
        note: str = (await self._ana.do("ls", "note", "--limit", "1"))[0]["id"]
        for device in (self._ana, self._ben):
            title = f"{device.name}'s title"
            await device.do("put", "note", f"title={title}", "--id", note)
            await device.do("put", "note", f"title=New on {device.name}'s device")
            self._detail(f"{device.name} renames it to {title!r}, and writes a new note")
        return note

    async def _meet_again(self, note: str) -> Crossing:
        self._say("They meet again. Only the edits cross the wire, and nothing is lost:")
        async with (
            self._ana.running("sync", "--stay") as ana,
            self._ben.running("sync", "--stay") as ben,
            self._ben.running("watch", "--since", "0") as watch,
        ):
            crossing = await self._until_level(ana, ben)
            change = await watch.until(lambda each: each["conflict"])
        if change["record"]["id"] != note:
            raise DemoFailed("the conflict is not of the note that both have edited")
        self._detail("a conflict shows on Ben's device, since neither had seen the other's edit:")
        self._detail(f"  live now   {_title(change['record'])}   (the later edit, on all devices)")
        self._detail(f"  kept       {_title(change['previous'])}   (in the note's history)")
        return crossing

    async def _until_level(self, ana: Program, ben: Program) -> Crossing:
        """Wait until each says that it is level, with a bar for each."""
        with group_bars() as bars:
            async with asyncio.TaskGroup() as both:
                follows = [
                    both.create_task(self._follow(ana, self._ana, bars)),
                    both.create_task(self._follow(ben, self._ben, bars)),
                ]
        (_, ana_sent), (traffic, ben_sent) = (follow.result() for follow in follows)
        return Crossing(
            traffic["sent_bytes"] + traffic["received_bytes"],
            traffic["sent_messages"] + traffic["received_messages"],
            ana_sent + ben_sent,
        )

    async def _follow(
        self, sync: Program, device: Device, bars: ShowGroups
    ) -> tuple[dict[str, int], int]:
        """Show a device's progress until it is level; its traffic, and the records that it sent."""
        sent = 0
        while True:
            event = await sync.until(lambda each: True)
            match event["event"]:
                case "progress" if event["id"] == self._group:
                    sent = event["sent"]
                    bars([_progress(event, device.name)])
                case "problem":
                    self._note(event["message"])
                case "level":
                    return event["traffic"], sent

    async def _check_level(self, *, at_least: int) -> int:
        """How many records both hold. Raises `DemoFailed` unless they are the same ones."""
        ana, ben = [
            {record["hash"] for record in await device.do("export")}
            for device in (self._ana, self._ben)
        ]
        if ana != ben:
            raise DemoFailed(f"not level: {len(ana - ben)} only Ana's, {len(ben - ana)} only Ben's")
        if len(ana) < at_least:
            raise DemoFailed(f"{at_least} notes were imported, but {len(ana)} are there")
        return len(ana)


def _is(kind: str) -> Callable[[Event], bool]:
    return lambda event: event["event"] == kind


def _progress(event: Event, device: str) -> GroupProgress:
    fields = {name: event[name] for name in GroupProgress._fields}
    return GroupProgress(**{**fields, "id": device, "name": f"    {device}'s notes"})


def _title(record: dict[str, Any]) -> str:
    return repr(record["value"]["title"][:_TITLE_SHOWN])
