"""Members, comparing keys, devices, wiping and QR codes by the command line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import peerstack
from tests.cli.person import Person, befriend
from tests.node.company import let_in
from tests.people import person


@pytest.fixture
def family(ana: Person, ben: Person, server: str) -> None:
    """Ana and Ben are in one group, and both know it."""
    befriend(ana, ben, server)


# --- Members. -------------------------------------------------------------------------------------


def test_members_lists_who_is_in_the_group(ana: Person) -> None:
    (me,) = ana.json("init", "--name", "Ana")
    ana.json("group", "create", "Family")

    (member,) = ana.json("members")

    assert list(member) == ["user", "name", "role", "verified", "devices"]
    (device,) = member.pop("devices")
    assert member == {"user": me["user"], "name": "Ana", "role": "admin", "verified": "yes"}
    assert list(device) == ["id", "name", "since_ms", "revoked_ms", "active", "this", "online"]
    assert device["id"] == me["device"]
    assert device["online"] is None
    assert ana.json("members", "Family") == ana.json("members", "personal") == ana.json("members")


def test_members_prints_a_table_with_what_to_do_next(ana: Person) -> None:
    ana.json("init", "--name", "Ana\x1b[2J")

    done = ana.run("members")

    head, line = done.stdout.splitlines()
    assert head.split() == ["NAME", "ROLE", "VERIFIED", "DEVICES", "ONLINE", "USER"]
    assert line.startswith("Ana\\u001b[2J  admin  yes ")
    assert head.index("ROLE") == line.index("admin"), "columns stand below each other"
    assert "peerstack verify" in done.stderr


def test_members_of_no_group_is_told(ana: Person) -> None:
    ana.json("init")

    done = ana.call("members", "Nowhere")

    assert done.exit_code == 1
    assert "'Nowhere'" in done.stderr


@pytest.mark.usefixtures("family")
def test_online_meets_the_others_first(ana: Person, ben: Person) -> None:
    with ben.running("sync", "--stay") as sync:
        sync.until_event("online")

        members = ana.json("members", "--online")

        assert [each["devices"][0]["online"] for each in members] == [True, True]
        sync.end()
    (device,) = ana.json("devices", "--online")
    assert device["online"] is True, "this very device is"


def test_online_without_a_server_is_told(ana: Person) -> None:
    ana.json("init")

    for command in ("members", "devices"):
        done = ana.call(command, "--online")
        assert done.exit_code == 1
        assert "--server" in done.stderr


# --- Comparing keys. ------------------------------------------------------------------------------


@pytest.mark.usefixtures("family")
def test_two_people_compare_and_are_verified(ana: Person, ben: Person) -> None:
    shown = {
        one: one.call("verify", other, input="y\n") for one, other in ((ana, "Ben"), (ben, "Ana"))
    }

    assert [done.exit_code for done in shown.values()] == [0, 0]
    asked = [
        {line for line in done.stderr.splitlines() if line.startswith("  ")}
        for done in shown.values()
    ]
    assert len(asked[0]) == 4, "words and digits of both"
    assert asked[0] == asked[1], "both devices show the same"
    assert {each["name"]: each["verified"] for each in ana.json("members")} == {
        "Ana": "yes",
        "Ben": "yes",
    }


@pytest.mark.usefixtures("family")
def test_verify_for_scripts_gives_all_and_can_be_undone(ana: Person, ben: Person) -> None:
    (done,) = ana.json("verify", "Ben", "--yes")
    (other,) = ben.json("verify", "Ana", "--yes")

    assert done["verified"] == "yes"
    assert (done["words"], done["digits"]) == (other["own_words"], other["own_digits"])
    assert (done["own_words"], done["own_digits"]) == (other["words"], other["digits"])
    assert ana.json("verify", done["user"], "--undo")[0]["verified"] == "no"
    assert [each["verified"] for each in ana.json("members")] == ["yes", "no"]


@pytest.mark.usefixtures("family")
def test_who_says_that_it_differs_marks_nothing(ana: Person) -> None:
    done = ana.call("verify", "Ben", input="n\n")

    assert done.exit_code == 1
    assert "not marked" in done.stderr
    assert [each["verified"] for each in ana.json("members")] == ["yes", "no"]


def test_oneself_and_nobody_are_not_verified(ana: Person) -> None:
    ana.json("init", "--name", "Ana")
    ana.json("group", "create", "Family")

    for user, word in (("Ana", "yourself"), ("Eve", "'Eve'")):
        done = ana.call("verify", user, "--yes")
        assert done.exit_code == 1
        assert word in done.stderr


async def test_a_sealed_profile_asks_for_its_passphrase_once(ana: Person) -> None:
    """`verify` opens it twice, since it does not hold it open while people compare."""
    anas, bens = person("ana"), person("ben")
    async with peerstack.open(
        ana.profile, anas.user, passphrase="of birches", network=False
    ) as node:
        await let_in(node, (await node.create_group("Family")).id, anas, bens)

    with Terminal(ana, "verify", "ben") as terminal:
        terminal.answer("Passphrase: ", "of birches")
        terminal.answer("Is all of it the same? [y/N]: ", "y")
        assert terminal.process.wait(60) == 0

    async with peerstack.open(ana.profile, passphrase="of birches", network=False) as node:
        (family,) = await node.groups()
        assert {each.verified for each in await family.members()} == {"yes"}


class Terminal:
    """A command at a terminal, where it may ask."""

    def __init__(self, person: Person, *words: str) -> None:
        command = (sys.executable, "-m", "peerstack", *words, "--profile", str(person.profile))
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def answer(self, question: str, text: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        shown = b""
        while not shown.endswith(question.encode()):
            shown += self.process.stdout.read(1) or pytest.fail(f"it ended: {shown.decode()}")
        self.process.stdin.write(f"{text}\n".encode())


# --- Devices. -------------------------------------------------------------------------------------


def test_devices_are_listed_and_renamed(ana: Person) -> None:
    (me,) = ana.json("init", "--name", "Ana")

    (listed,) = ana.json("devices")
    renamed = ana.json("devices", "rename", listed["name"], "kitchen")

    assert listed["id"] == me["device"]
    assert listed["this"]
    assert renamed == [{"id": me["device"], "name": "kitchen"}]
    assert ana.json("devices", "list")[0]["name"] == "kitchen"
    shown = ana.run("devices")
    assert "kitchen" in shown.stdout
    assert "this one" in shown.stdout
    assert "devices rename" in shown.stderr


def test_a_device_that_is_not_ones_own_is_not_renamed(ana: Person) -> None:
    ana.json("init")

    done = ana.call("devices", "rename", "phone", "kitchen")

    assert done.exit_code == 1
    assert "'phone'" in done.stderr


# --- Wiping. --------------------------------------------------------------------------------------


def test_wipe_asks_and_then_removes_all(ana: Person) -> None:
    ana.json("put", "note", "title=Milk")

    declined = ana.call("wipe", input="n\n")
    assert declined.exit_code != 0
    assert len(ana.json("ls")) == 1

    done = ana.call("wipe", input="y\n")

    assert done.exit_code == 0
    assert str(ana.profile) in declined.stderr
    assert list(ana.profile.parent.glob("ana*")) == []


def test_wipe_for_scripts(ana: Person) -> None:
    ana.json("init")

    assert ana.json("wipe", "--yes") == [{"profile": str(ana.profile), "wiped": True}]
    done = ana.call("wipe", "--yes", "--json")
    assert json.loads(done.stderr)["error"] == "NotFound"


@pytest.mark.usefixtures("family")
def test_a_profile_in_use_is_not_wiped(ana: Person) -> None:
    with ana.running("sync", "--stay") as sync:
        sync.until_event("online")

        done = ana.run("wipe", "--yes")

        assert done.returncode == 1
        assert str(sync.process.pid) in done.stderr
        sync.end()
    assert len(ana.json("groups")) == 2


# --- QR codes. ------------------------------------------------------------------------------------


def test_invite_draws_the_link(ana: Person) -> None:
    ana.json("group", "create", "Family")

    done = ana.run("invite", "--qr")
    (document,) = ana.json("invite", "--qr")

    link, *drawing = done.stdout.splitlines()
    assert link.startswith("peerstack:join:")
    assert set("".join(drawing)) == set(" ▀▄█"), "no colors where there is no terminal"
    assert document["svg"].startswith("<svg ")
