"""How this device stands to the others, in words that need no manual."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import peerstack

_COMMAND: Final = re.compile(r" \(`peerstack [^`]*`\)")


class State(enum.StrEnum):
    """What one looks for first; each has a color and a sign on the page."""

    ALONE = "alone"
    OFFLINE = "offline"
    LOOKING = "looking"
    SYNCING = "syncing"
    LEVEL = "level"


@dataclass(frozen=True, slots=True)
class Connection:
    """What is said of the connection, from the short to the long."""

    state: State
    headline: str
    detail: str
    problems: Sequence[str]
    """What is wrong, and what to do, a sentence each."""


@dataclass(frozen=True, slots=True)
class _Progress:
    """Over all connections: records that came or went, of those that are known to have to."""

    done: int
    all: int


def connection(status: peerstack.Status, names: Mapping[str, str]) -> Connection:
    """What to say of a status; `names` is what to call people, by user id."""
    state, headline, detail = _said(status, names)
    return Connection(state, headline, detail, [in_words(each) for each in status.problems])


def in_words(advice: str) -> str:
    """What the framework says, without the names of commands that nobody types here."""
    said = _COMMAND.sub("", advice)
    return f"{said[:1].upper()}{said[1:].rstrip('.')}."


def _said(status: peerstack.Status, names: Mapping[str, str]) -> tuple[State, str, str]:
    if status.connections:
        return _met(status, names)
    if not status.servers:
        return (
            State.ALONE,
            "On this device",
            "Your notes are kept here, and nowhere else. To share them, add a meeting server.",
        )
    if all(server.state == "offline" for server in status.servers):
        return (
            State.OFFLINE,
            "Offline",
            "What you write is kept here, and sent when the others can be met again.",
        )
    return State.LOOKING, "Looking for the others", "Nobody else is online at the moment."


def _met(status: peerstack.Status, names: Mapping[str, str]) -> tuple[State, str, str]:
    who = _listed(sorted({_called(each.user, status, names) for each in status.connections}))
    shared = [group for each in status.connections for group in each.groups]
    if any(group.state.value == "working" for group in shared):
        progress = _Progress(
            sum(group.received + group.sent for group in shared),
            sum(max(group.wanted, group.received) + group.sent + group.owed for group in shared),
        )
        counted = f"{progress.done:,} of {progress.all:,}" if progress.all else "comparing"
        return State.SYNCING, "Syncing", f"With {who}: {counted}."
    return State.LEVEL, "Up to date", f"Connected to {who}."


def _called(user: str, status: peerstack.Status, names: Mapping[str, str]) -> str:
    return "your other device" if user == status.user else names.get(user, "somebody")


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
