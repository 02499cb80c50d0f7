"""Three devices of two users, and a stranger who has the server's address, and later a removed
member's whole folder: a process each, over WebRTC and a real server, whose every byte is kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aioice.ice import get_host_addresses

from peerstack.identity import User
from peerstack.identity.linking import decode_untrusted_device_link
from peerstack.node.keyfile import KeyFile, path_of
from peerstack.node.ports import SystemEntropy
from tests.cli.person import Person, Running
from tests.recording_proxy import found, recorded_server

STOPPED = 130
REMOVED = "you were removed from 'The Aardvarks'"


@pytest.fixture
def laptop(tmp_path: Path) -> Person:
    """Where Ana's second device will be."""
    return Person(tmp_path / "laptop.db")


@pytest.fixture
def phone(tmp_path: Path) -> Person:
    """Ben's only device, in a folder of its own."""
    return Person(tmp_path / "phone" / "ben.db")


@pytest.fixture
def stranger(tmp_path: Path) -> Person:
    return Person(tmp_path / "stranger.db")


def linked(old: Person, new: Person) -> bytes:
    """Link a new device by hand, on both; the seed of the link."""
    with old.running("link") as showing:
        link = showing.until_event("link")["link"]
        with new.running("link", link, "--device-name", "Laptop of Ana") as opening:
            digits = showing.until_event("digits")["digits"]
            assert opening.until_event("digits")["digits"] == digits
            showing.type("y")
            assert [each.process.wait() for each in (showing, opening)] == [0, 0]
    return bytes(decode_untrusted_device_link(link).seed)


@contextmanager
def staying(*people: Person) -> Iterator[list[Running]]:
    """Online, until the end of the block."""
    if not people:
        yield []
        return
    with people[0].running("sync", "--stay") as sync, staying(*people[1:]) as others:
        sync.until_event("online")
        yield [sync, *others]


def until(holds: Callable[[], bool]) -> None:
    """Ask again and again, each time by a command. Ends with the test's time limit."""
    while not holds():
        pass


def titles(person: Person) -> set[str]:
    """What a person has in the group, if they have heard of it yet."""
    notes = person.call("ls", "note", "-g", "The Aardvarks", "--json").stdout
    return {json.loads(note)["value"]["title"] for note in notes.splitlines()}


def who_is_in(person: Person) -> set[str]:
    return {member["name"] for member in person.json("members", "The Aardvarks")}


def join_and_share(ana: Person, ben: Person) -> None:
    """Ben joins while Ana is online; each writes a note, and both have both."""
    (invited,) = ana.told("invite", "--group", "The Aardvarks")
    ben.told("init", "--name", "Ben Bumblebee")
    ben.told("join", invited["link"], "--yes")
    ben.told("put", "note", "title=by Ben")
    ana.told("put", "note", "title=by Ana")
    ben.told("sync")
    assert titles(ben) == {"by Ben", "by Ana"}


def gets_nothing_new(removed: Person, ana: Person, laptop: Person) -> None:
    """Online among the others, it hears that it was removed, and nothing of what they write."""
    with staying(removed) as [sync]:
        sync.until(lambda event: REMOVED in event.get("message", ""))
        title = f"while {removed.profile.parent.name} listens"
        ana.told("put", "note", f"title={title}")
        until(lambda: title in titles(laptop))
        assert titles(removed) == {"by Ben", "by Ana"}
        refused = removed.run("put", "note", "title=by the stranger", "-g", "The Aardvarks")
        assert refused.returncode == 1, refused.stdout
        assert sync.end() == STOPPED
    assert titles(removed) == {"by Ben", "by Ana"}
    assert title in titles(ana)


def secrets_of(person: Person) -> dict[str, bytes]:
    """The keys of a device, public ones too, by whose they are; read from its key file."""
    keys = KeyFile(path_of(person.profile), None, SystemEntropy())
    user: User = keys.read().user
    assert user.root is not None
    named = {
        "root": user.root.seed,
        "public root": user.root.public,
        "device": user.device_key.seed,
        "public device": user.device_key.public,
    }
    return {f"{person.profile.name}'s {name} key": key for name, key in named.items()}


def words_of(person: Person) -> dict[str, bytes]:
    """What a device is called."""
    (me,) = person.json("whoami")
    named = {each: me[each].encode() for each in ("name", "user", "device")}
    return {f"{person.profile.name}'s {name}": text for name, text in named.items()}


def addresses() -> dict[str, bytes]:
    """How this machine can be reached, as devices tell each other in their offers."""
    texts = {"127.0.0.1", *get_host_addresses(use_ipv4=True, use_ipv6=True)}
    return {f"address {text}": text.encode() for text in texts}


def test_a_stranger_learns_nothing_and_a_removed_members_folder_gets_nothing_new(
    ana: Person, laptop: Person, phone: Person, stranger: Person, tmp_path: Path
) -> None:
    with recorded_server() as recording:
        stranger.told("init", "--name", "Mallory", "--server", recording.url)
        with staying(stranger) as [listening]:
            ana.told("init", "--name", "Ana Aardvark", "--server", recording.url)
            (family,) = ana.told("group", "create", "The Aardvarks")
            seed = linked(ana, laptop)
            with staying(ana, laptop):
                join_and_share(ana, phone)
                until(lambda: titles(laptop) == {"by Ben", "by Ana"})
                laptop.told("remove", "Ben Bumblebee", "--yes")
                until(lambda: who_is_in(ana) == {"Ana Aardvark"})
                ana.told("put", "note", "title=after Ben")
                until(lambda: "after Ben" in titles(laptop))
                shutil.copytree(phone.profile.parent, tmp_path / "stolen")
                gets_nothing_new(phone, ana, laptop)
                gets_nothing_new(Person(tmp_path / "stolen" / "ben.db"), ana, laptop)
            assert listening.end() == STOPPED
            assert listening.rest() == []
            assert [each["name"] for each in stranger.json("groups")] == ["personal"]

    words = addresses() | {"link": seed, "group": family["id"].encode()}
    words |= {text: text.encode() for text in ("Aardvarks", "Laptop of Ana", "after Ben")}
    for person in (ana, laptop, phone):
        words |= words_of(person) | secrets_of(person)
    crossed = b"\n#\n".join(recording.frames)
    assert {name for name, each in words.items() if found(each, crossed)} == set()
    assert b"announce" in crossed
