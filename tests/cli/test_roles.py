"""Roles, removal, leaving, invites and quarantine by the command line, through a real server."""

from __future__ import annotations

from tests.cli.person import Person, befriend


def sync(ana: Person, ben: Person) -> None:
    """Ben syncs while Ana is there."""
    with ana.running("sync", "--stay") as staying:
        staying.until_event("online")
        ben.json("sync")
        staying.end()


def roles(person: Person) -> dict[str, str]:
    return {member["name"]: member["role"] for member in person.json("members", "Family")}


def test_a_role_is_given_by_name_and_reaches_the_other(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    (given,) = ana.json("role", "Ben", "reader")
    sync(ana, ben)

    assert given["role"] == "reader"
    assert roles(ana) == roles(ben) == {"Ana": "admin", "Ben": "reader"}
    refused = ben.call("put", "note", "title=Milk", "-g", "Family")
    assert refused.exit_code == 1
    assert "you are a reader" in refused.stderr


def test_who_is_removed_is_told_keeps_what_it_has_and_comes_back_by_a_role(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    sync(ana, ben)
    (note,) = ben.json("put", "note", "title=Milk", "-g", "Family")
    sync(ana, ben)
    asked = ana.call("remove", "Ben", input="n\n")
    assert asked.exit_code != 0
    (removed,) = ana.json("remove", "Ben", "--yes")
    with ana.running("sync", "--stay") as staying:
        # She only listens where he announces himself, so she has to be there first.
        staying.until_event("online")
        with ben.running("sync", "--stay") as removed_one:
            removed_one.until_event("online")
            told = "you were removed from 'Family'"
            while not any(told in each for each in ben.json("status")[0]["problems"]):
                pass

    assert removed["user"] == ben.json("whoami")[0]["user"]
    assert roles(ana) == {"Ana": "admin"}
    assert [each["id"] for each in ana.json("ls", "-g", "Family")] == [note["id"]]
    assert [each["id"] for each in ben.json("ls", "-g", "Family")] == [note["id"]]
    assert ben.call("put", "note", "title=No", "-g", "Family").exit_code == 1
    assert "`peerstack ls --group Family`" in ben.call("groups").stderr


def test_what_was_written_without_a_right_is_shown_in_quarantine(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    sync(ana, ben)
    given = ana.call("role", "Ben", "reader")
    (note,) = ben.json("put", "note", "title=Milk")
    sync(ana, ben)
    shown, empty = ben.call("quarantine"), ana.call("quarantine")

    assert given.stdout == f"Ben {note['signer']}  reader in 'Family'\n"
    (line,) = shown.stdout.splitlines()
    assert line.startswith(note["id"])
    assert line.endswith(f'title="Milk"; by Ben {note["signer"]}')
    assert "--readmit" in shown.stderr
    assert empty.stdout == ""
    assert "nothing is kept apart" in empty.stderr


def test_whoever_syncs_is_told_that_they_were_removed(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    sync(ana, ben)
    ana.json("remove", "Ben", "--yes")
    with ana.running("sync", "--stay") as staying:
        staying.until_event("online")
        done = ben.run("sync")

    assert done.returncode == 0
    assert "you were removed from 'Family'" in done.stderr


def test_who_leaves_is_gone_at_the_others_after_the_next_sync(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    sync(ana, ben)
    (note,) = ben.json("put", "note", "title=Milk", "-g", "Family")
    (left,) = ben.json("leave", "Family", "--yes")
    assert left["name"] == "Family"
    assert ben.json("ls") == []
    assert ben.json("ls", "-g", "Family") == [note]
    sync(ana, ben)

    assert roles(ana) == {"Ana": "admin"}


def test_the_only_admin_is_told_why_it_cannot_leave(ana: Person, ben: Person, server: str) -> None:
    befriend(ana, ben, server)
    refused = ana.call("leave", "Family", "--yes")

    assert refused.exit_code == 1
    assert "make somebody else an admin first" in refused.stderr


def test_invites_are_listed_and_ended(ana: Person) -> None:
    ana.json("init", "--name", "Ana")
    ana.json("group", "create", "Family")
    ana.json("invite", "--role", "reader", "--uses", "3", "--days", "0")
    (open_one,) = ana.json("invites")
    (ended,) = ana.json("invites", "--end", open_one["id"][:10])

    assert (open_one["role"], open_one["uses"], open_one["used"]) == ("reader", 3, 0)
    assert open_one["expires_ms"] is None
    assert open_one["ended"] is None
    assert ended == {**open_one, "ended": "ended"}
    assert f"; by Ana {open_one['made_by']}" in ana.call("invites").stdout
    nothing = ana.call("invites", "--end", "ffffffff")
    assert nothing.exit_code == 1
    assert "`peerstack invites` lists them" in nothing.stderr


def test_quarantine_is_empty_at_first_and_says_what_is_not_in_it(ana: Person) -> None:
    ana.json("init", "--name", "Ana")
    ana.json("group", "create", "Family")

    assert ana.json("quarantine") == []
    missing = ana.call("quarantine", "--readmit", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert missing.exit_code == 1
    assert "not in quarantine" in missing.stderr
