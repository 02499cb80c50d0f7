"""How far a device is with each group: bars for people, JSON for programs.

Reads `Node.status()` from time to time; what happens does not depend on being looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

import peerstack
from peerstack.cli.output import Output, printable

if TYPE_CHECKING:
    from rich.progress import Progress

    Show = Callable[[peerstack.Status], None]

LOOK_S: Final = 0.1
_TELL_AFTER_S: Final = 0.5
"""A problem is told once it has lasted this long: some are over at once."""


class GroupProgress(NamedTuple):
    """How far one group is with all devices that are connected. Counts are records."""

    id: str
    name: str
    state: str
    """`waiting` (for another device), `working` or `level`."""
    devices: int
    received: int
    wanted: int
    sent: int
    owed: int


def group_progress(status: peerstack.Status) -> list[GroupProgress]:
    """How far each group is that has somebody to be level with."""
    found = []
    for group in status.groups:
        shared = [
            each for one in status.connections for each in one.groups if each.group == group.group
        ]
        if shared or group.members > 1:
            level = all(each.state.value == "level" for each in shared)
            state = ("level" if level else "working") if shared else "waiting"
            totals = [
                sum(getattr(each, count) for each in shared)
                for count in ("received", "wanted", "sent", "owed")
            ]
            found.append(GroupProgress(group.group, group.name, state, len(shared), *totals))
    return found


def traffic(status: peerstack.Status) -> dict[str, int]:
    """What has crossed the connections that are open, in both directions."""
    counts = ("sent_bytes", "received_bytes", "sent_messages", "received_messages")
    return {name: sum(getattr(each, name) for each in status.connections) for name in counts}


@contextmanager
def shown_progress(output: Output) -> Iterator[Show]:
    """What to hand each status to: it shows how far each group is."""
    if output.json:
        yield _JsonLines()
    elif output.quiet:
        yield lambda _status: None
    else:
        with group_bars() as bars:
            yield lambda status: bars(group_progress(status))


class _JsonLines:
    """A line for each group whenever its progress has changed."""

    def __init__(self) -> None:
        self._said: dict[str, GroupProgress] = {}

    def __call__(self, status: peerstack.Status) -> None:
        for group in group_progress(status):
            if self._said.get(group.id) != group:
                self._said[group.id] = group
                show_event("progress", group._asdict())


def show_event(event: str, fields: dict[str, Any]) -> None:
    """Something that happened, as a line of JSON."""
    import json

    click.echo(json.dumps({"event": event, **fields}))


@contextmanager
def group_bars() -> Iterator[Callable[[list[GroupProgress]], None]]:
    """A bar for each group."""
    with _bars("{task.fields[counts]}") as bars:
        tasks: dict[str, Any] = {}

        def show(groups: list[GroupProgress]) -> None:
            for group in groups:
                if group.id not in tasks:
                    tasks[group.id] = bars.add_task("", total=None, counts="")
                _show_bar(bars, tasks[group.id], group)

        yield show


def _show_bar(bars: Progress, task: Any, group: GroupProgress) -> None:
    done, total = group.received + group.sent, group.wanted + group.owed
    if group.state == "level":
        done = total = max(total, 1)
    counts = f"{group.received:,} received, {group.sent:,} sent"
    word = "waiting for another device" if group.state == "waiting" else f"{counts}, {group.state}"
    bars.update(
        task, description=printable(group.name), completed=done, total=total or None, counts=word
    )


@contextmanager
def byte_bar(name: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """A bar of the bytes that are done."""
    with _bars("{task.percentage:>3.0f}%") as bars:
        task = bars.add_task(name, total=total_bytes, counts="")
        yield lambda done: bars.update(task, completed=done)


@contextmanager
def _bars(counts: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    # What is shown was written by others: nothing in it is markup.
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn(counts, markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield bars


@asynccontextmanager
async def told_problems(output: Output, node: peerstack.Node) -> AsyncIterator[None]:
    """Meanwhile, tell of each problem that lasts, once; and of those that are there at the end."""
    told: set[str] = set()
    telling = asyncio.get_running_loop().create_task(_tell_problems(output, node, told))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait({telling})
    for problem in node.status().problems:
        if problem not in told:
            _tell(output, problem)


async def _tell_problems(output: Output, node: peerstack.Node, told: set[str]) -> None:
    since_s: dict[str, float] = {}
    while True:
        now_s = asyncio.get_running_loop().time()
        current = node.status().problems
        since_s = {each: since_s.get(each, now_s) for each in current}
        for problem, first_s in since_s.items():
            if now_s - first_s >= _TELL_AFTER_S and problem not in told:
                told.add(problem)
                _tell(output, problem)
        await asyncio.sleep(_TELL_AFTER_S)


def _tell(output: Output, problem: str) -> None:
    if output.json:
        show_event("problem", {"message": problem})
    else:
        output.note(f"note: {problem}")
