"""`link` and `revoke`: real processes over a real signaling server, with their owner at both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.person import Person


@pytest.fixture
def laptop(tmp_path: Path) -> Person:
    """A new device of Ana's, with nothing on it."""
    return Person(tmp_path / "laptop.db")


def link(old: Person, new: Person) -> str:
    """Link a new device; its id."""
    with old.running("link") as showing:
        link = showing.until_event("link")["link"]
        with new.running("link", link) as opening:
            showing.until_event("digits")
            showing.type("y")
            device: str = opening.until_event("linked")["device"]
            assert [each.process.wait() for each in (showing, opening)] == [0, 0]
    return device


def test_a_new_device_is_linked_by_two_commands(ana: Person, laptop: Person, server: str) -> None:
    ana.json("init", "--name", "Ana", "--server", server)
    (note,) = ana.json("put", "note", "title=Milk", "--group", "personal")
    with ana.running("link") as old:
        link = old.until_event("link")
        with laptop.running("link", link["link"], "--device-name", "laptop") as new:
            there, here = new.until_event("digits"), old.until_event("digits")
            assert there["digits"] == here["digits"]
            assert here["device_name"] == "laptop"
            old.type("y")
            linked = new.until_event("linked")
            confirmed = old.until_event("linked")
            assert [each.process.wait() for each in (old, new)] == [0, 0]

    (me,) = laptop.json("whoami")
    assert linked["full"]
    assert linked["user"] == me["user"] == ana.json("whoami")[0]["user"]
    assert confirmed["id"] == linked["device"] == me["device"]
    assert link["svg"].startswith("<svg")
    (copy,) = laptop.json("get", note["id"], "--group", "personal")
    assert copy["hash"] == note["hash"]
    names = [(each["name"], each["active"]) for each in laptop.json("devices")]
    assert names[1:] == [("laptop", True)]


def test_digits_that_differ_are_refused_on_both_devices(
    ana: Person, laptop: Person, server: str
) -> None:
    ana.json("init", "--name", "Ana", "--server", server)
    with ana.running("link") as old:
        link = old.until_event("link")["link"]
        with laptop.running("link", link) as new:
            old.until_event("digits")
            old.type("n")
            assert [each.process.wait() for each in (old, new)] == [1, 1]
            assert "LinkEnded" in old.complaints()
            assert "refused" in new.complaints()

    assert len(ana.json("devices")) == 1
    unlinked = laptop.call("whoami")
    assert unlinked.exit_code == 1
    assert "peerstack link" in unlinked.stderr


def test_without_a_server_link_says_how_to_name_one(ana: Person) -> None:
    ana.json("init")

    done = ana.call("link")

    assert done.exit_code == 1
    assert "--server" in done.stderr


def test_options_of_the_other_device_are_wrong_usage(ana: Person) -> None:
    ana.json("init")

    assert ana.call("link", "--device-name", "laptop").exit_code == 2
    assert ana.call("link", "peerstack:link:AA", "--limited").exit_code == 2


def test_a_device_cannot_be_linked_over_another_profile(
    ana: Person, ben: Person, server: str
) -> None:
    ana.json("init", "--name", "Ana", "--server", server)
    ben.json("init", "--name", "Ben")
    with ana.running("link") as old:
        link = old.until_event("link")["link"]
        done = ben.call("link", link, "--timeout", "1")

    assert done.exit_code == 1
    assert "another profile" in done.stderr
    assert ben.json("whoami")[0]["name"] == "Ben"


def test_a_new_device_that_cannot_reach_the_server_says_so(
    ana: Person, laptop: Person, tmp_path: Path
) -> None:
    ana.json("init", "--name", "Ana", "--server", "http://127.0.0.1:9")
    with ana.running("link") as old:
        link = old.until_event("link")["link"]
        done = laptop.call("link", link, "--timeout", "2")

    assert done.exit_code == 1
    assert "http://127.0.0.1:9" in done.stderr
    assert "make another link" in done.stderr


def test_a_device_is_revoked_once_its_owner_says_so(
    ana: Person, laptop: Person, server: str
) -> None:
    ana.json("init", "--name", "Ana", "--server", server)
    device = link(ana, laptop)

    assert "There is no way back" in ana.call("revoke", device, input="n\n").stderr
    assert all(each["active"] for each in ana.json("devices"))
    (revoked,) = ana.json("revoke", device, "--yes")

    assert revoked["id"] == device
    assert not revoked["active"]
    assert [each["active"] for each in ana.json("devices")] == [True, False]


def test_the_device_that_one_is_on_is_revoked_by_force_alone(ana: Person) -> None:
    ana.json("init", "--name", "Ana")
    (mine,) = ana.json("devices")

    refused = ana.call("revoke", mine["id"], "--yes")

    assert refused.exit_code == 1
    assert "force" in refused.stderr
    assert ana.json("devices") == [mine]
    ana.json("revoke", mine["name"], "--yes", "--force")
    assert not ana.json("devices")[0]["active"]
