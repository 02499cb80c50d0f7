"""Real processes, real signaling, real WebRTC: killed, restarted, two on one profile."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.cli.person import Person, befriend, hashes
from tests.server_process import server_process

MANY = 6_000
OWN_RECORDS = 2
"""Those that peerstack keeps in each group for itself; `export` leaves them out."""


def import_many(person: Person, folder: Path) -> None:
    file = folder / "many.jsonl"
    text = "made for being sent, " * 12
    file.write_text("".join(json.dumps({"n": n, "text": text}) + "\n" for n in range(MANY)))
    person.json("import", str(file), "--type", "number")


def test_two_devices_that_sync_at_once_both_end_level(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    ana.json("put", "note", "by=Ana")
    ben.json("put", "note", "by=Ben")

    with ana.running("sync") as first, ben.running("sync") as second:
        level = [sync.until_event("level") for sync in (first, second)]

        assert [sync.process.wait() for sync in (first, second)] == [0, 0]

    assert hashes(ana) == hashes(ben)
    assert len(hashes(ana)) == 2
    assert all(event["traffic"]["received_bytes"] > 0 for event in level)


def test_a_group_whose_name_is_not_here_yet_is_not_called_personal(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)

    personal, joined = ben.json("groups")

    assert personal["personal"]
    assert not joined["personal"]
    assert joined["name"] in ("Family", joined["id"])


def test_sync_talks_to_people_too(ana: Person, ben: Person, server: str) -> None:
    befriend(ana, ben, server)

    with ana.running("sync", "--stay"):
        done = ben.run("sync")

    assert done.returncode == 0
    assert "level with 1 device" in done.stdout
    assert "Family" in done.stderr
    assert "next: " in done.stderr


def test_what_a_second_process_puts_is_sent_by_the_one_that_has_the_network(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    with (
        ana.running("sync", "--stay") as at_ana,
        ben.running("sync", "--stay") as at_ben,
        ben.running("watch", "--since", "0") as watch,
    ):
        for sync in (at_ana, at_ben):
            sync.until_event("level")

        (put,) = ana.json("put", "note", "title=Milk")
        change = watch.until(lambda change: change["record"]["type"] == "note")
        second = ana.call("sync")
        (status,) = ana.json("status")

    assert change["record"]["hash"] == put["hash"]
    assert change["origin"] == put["device"]
    assert second.exit_code == 1
    assert str(at_ana.process.pid) in second.stderr
    assert str(at_ana.process.pid) in status["in_use"]


def test_a_join_beside_the_process_that_has_the_network_is_completed_by_it(
    ana: Person, ben: Person, server: str
) -> None:
    befriend(ana, ben, server)
    (work,) = ana.json("group", "create", "Work")
    (invited,) = ana.json("invite", "--group", "Work")

    with ana.running("sync", "--stay"), ben.running("sync", "--stay") as at_ben:
        at_ben.until_event("level")
        (joined,) = ben.json("join", invited["link"], "--yes")

    assert joined["group"] == work["id"]
    assert work["id"] in {group["id"] for group in ben.json("groups")}


def test_killed_in_mid_sync_nothing_acknowledged_is_lost_and_both_become_level(
    ana: Person, ben: Person, server: str, tmp_path: Path
) -> None:
    befriend(ana, ben, server)
    import_many(ana, tmp_path)
    with ana.running("sync", "--stay") as at_ana:
        with ben.running("sync", "--stay") as at_ben:
            # What counts as sent is what Ben's device has acknowledged.
            seen = at_ana.until(
                lambda found: found["event"] == "progress" and 500 <= found["sent"] < MANY // 2
            )
            at_ben.end(signal.SIGKILL)
        stored = hashes(ben)
        with ben.running("sync", "--timeout", "90") as again:
            again.until_event("level")

    assert seen["sent"] - OWN_RECORDS <= len(stored) < MANY
    assert stored <= hashes(ben)
    assert hashes(ben) == hashes(ana)
    assert len(hashes(ben)) == MANY


def test_the_server_restarted_devices_meet_again(ana: Person, ben: Person) -> None:
    with server_process() as first:
        url, port = first.url, first.port
        befriend(ana, ben, url)
        with ana.running("sync", "--stay") as at_ana:
            at_ana.until_event("online")
            first.stop(signal.SIGKILL)
            ana.json("put", "note", "title=Milk")
            with ben.running("sync", "--timeout", "60") as at_ben:
                problem = at_ben.until_event("problem")
                assert url in problem["message"]
                with server_process(port=port):
                    at_ben.until_event("level")

    assert hashes(ana) == hashes(ben)
    assert len(hashes(ben)) == 1


def test_an_unreachable_server_is_one_line_with_its_address_and_the_cure(ana: Person) -> None:
    ana.json("init", "--server", "http://127.0.0.1:9")

    done = ana.call("sync", "--timeout", "1", "--quiet")

    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert "http://127.0.0.1:9" in line
    assert "check the URL" in line


def test_without_any_server_sync_says_how_to_name_one(ana: Person) -> None:
    ana.json("init")

    done = ana.call("sync")

    assert done.exit_code == 1
    assert "--server" in done.stderr


def test_status_shows_servers_groups_and_problems(ana: Person, server: str) -> None:
    ana.json("init", "--name", "Ana", "--server", server)
    ana.json("group", "create", "Family")

    (status,) = ana.json("status")
    shown = ana.call("status")

    assert status["servers"] == [{"url": server, "state": "online", "reason": ""}]
    assert [group["name"] for group in status["groups"]] == ["personal", "Family"]
    assert status["in_use"] == ""
    assert server in shown.stdout
    assert "Family: admin, 1 member" in shown.stdout


def test_status_of_an_unreachable_server_says_the_cure(ana: Person) -> None:
    ana.json("init", "--server", "http://127.0.0.1:9")

    (status,) = ana.json("status")

    assert "http://127.0.0.1:9" in status["problems"][0]
    assert "check the URL" in status["problems"][0]
