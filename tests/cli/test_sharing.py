"""Profiles, groups and invites by the command line, without a network."""

from __future__ import annotations

import json

import pytest

from peerstack.groups.invites import decode_untrusted_link, make_link
from peerstack.keys import Secret
from tests.cli.person import Person

UNREACHABLE = "http://127.0.0.1:9"


def test_init_makes_a_profile_with_a_name(ana: Person) -> None:
    (made,) = ana.json("init", "--name", "Ana", "--server", "https://meet.example.org")

    assert list(made) == ["name", "user", "device", "profile", "servers"]
    assert made["name"] == "Ana"
    assert made["servers"] == ["https://meet.example.org"]
    assert ana.json("whoami") == [made]


def test_init_leaves_a_profile_that_is_there_alone(ana: Person) -> None:
    made = ana.json("init", "--name", "Ana")

    done = ana.call("init", "--name", "Eve")

    assert done.exit_code == 1
    assert ana.json("whoami") == made


def test_a_bad_server_is_refused_and_not_remembered(ana: Person) -> None:
    ana.json("init", "--name", "Ana")

    done = ana.call("invite", "--server", "nonsense")

    assert done.exit_code == 1
    assert "nonsense" in done.stderr
    assert ana.json("whoami")[0]["servers"] == []


def test_sealed_keys_open_with_the_passphrase_of_the_environment(ana: Person) -> None:
    ana.call("init", "--seal", PEERSTACK_PASSPHRASE="of birches")

    missing = ana.run("whoami")
    wrong = ana.call("whoami", PEERSTACK_PASSPHRASE="of oaks")
    right = ana.call("whoami", PEERSTACK_PASSPHRASE="of birches")

    assert missing.returncode == wrong.exit_code == 1
    assert "PEERSTACK_PASSPHRASE" in missing.stderr
    assert right.exit_code == 0


def test_seal_asks_for_the_passphrase_twice(ana: Person) -> None:
    made = ana.call("init", "--seal", input="of birches\nof birches\n")

    assert made.exit_code == 0, made.output
    assert "birches" not in made.output
    assert ana.call("whoami", PEERSTACK_PASSPHRASE="of birches").exit_code == 0


def test_a_group_is_listed_with_its_members(ana: Person) -> None:
    ana.json("init", "--name", "Ana")
    (made,) = ana.json("group", "create", "Family")
    ana.json("put", "note", "title=Milk")

    personal, family = ana.json("groups")

    assert list(family) == ["id", "name", "personal", "role", "members", "records"]
    assert personal["personal"]
    assert family["id"] == made["id"]
    assert [member["name"] for member in family["members"]] == ["Ana"]
    assert (family["role"], family["records"]) == ("admin", 1)


def test_invite_prints_the_link_alone(ana: Person) -> None:
    ana.json("group", "create", "Family")

    done = ana.call("invite", "--role", "reader", "--days", "0", "--uses", "1")

    assert done.exit_code == 0
    assert done.stdout.startswith("peerstack:join:")
    assert len(done.stdout.split()) == 1
    assert "--server" in done.stderr, "it says that nobody can be met by this link"


def test_nobody_is_invited_to_the_personal_group(ana: Person) -> None:
    ana.json("init")

    done = ana.call("invite")

    assert done.exit_code == 1


def test_join_shows_who_invites_to_what_and_asks(ana: Person, ben: Person) -> None:
    ana.json("init", "--name", "Ana", "--server", UNREACHABLE)
    ana.json("group", "create", "Family")
    (invited,) = ana.json("invite", "--role", "reader")

    done = ben.call("join", invited["link"], input="n\n")

    assert done.exit_code != 0
    for word in ("'Ana'", "'Family'", "reader", UNREACHABLE):
        assert word in done.stderr
    assert not ben.profile.exists(), "declined, so nothing was made"


def test_a_join_that_nobody_hears_is_kept(ana: Person, ben: Person) -> None:
    ana.json("init", "--name", "Ana", "--server", UNREACHABLE)
    (family,) = ana.json("group", "create", "Family")
    (invited,) = ana.json("invite")

    done = ben.call("join", invited["link"], "--yes", "--timeout", "1")

    assert done.exit_code == 1
    assert UNREACHABLE in done.stderr
    assert ben.json("status")[0]["waiting_joins"] == [family["id"]]


@pytest.mark.parametrize("link", ["nonsense", "peerstack:join:AAAA"])
def test_a_bad_link_is_refused(link: str, ben: Person) -> None:
    done = ben.call("join", link, "--yes", "--json")

    assert done.exit_code == 1
    assert json.loads(done.stderr)["error"] == "InvalidLink"
    assert not ben.profile.exists()


def test_a_link_with_a_server_that_is_none_leaves_the_profile_usable(
    ana: Person, ben: Person
) -> None:
    ana.json("group", "create", "Family")
    (invited,) = ana.json("invite")
    real = decode_untrusted_link(invited["link"])
    forged = make_link(
        Secret(real.seed),
        real.group,
        real.invite_hash,
        real.made_ms,
        real.role,
        real.group_name,
        real.inviter_name,
        ("nonsense",),
    )
    ben.json("init")

    done = ben.call("join", forged, "--yes")

    assert done.exit_code == 1
    assert "nonsense" in done.stderr
    (status,) = ben.json("status")
    assert status["servers"] == status["waiting_joins"] == []
