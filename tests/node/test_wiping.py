"""A wiped profile is gone whole: keys first, nothing beside it touched, and crashes mended."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import peerstack

HOLD = """
import peerstack, sys
with peerstack.open_sync(sys.argv[1]) as node:
    print("open", flush=True)
    sys.stdin.read()
"""

CRASH = """
import os, peerstack, sys
left = int(sys.argv[2])
def watch(event, arguments):
    global left
    if event == "os.remove":
        left -= 1
        if left < 0:
            os._exit(9)
sys.addaudithook(watch)
peerstack.wipe(sys.argv[1])
"""

RACE = """
import pathlib, peerstack, sys
from peerstack.node.lock import NetworkLock
path = pathlib.Path(sys.argv[1])
holders = [NetworkLock(path)]
def wipe_between_opening_and_locking(event, arguments):
    if event == "fcntl.flock" and len(holders) == 1:
        holders.pop().remove()
sys.addaudithook(wipe_between_opening_and_locking)
lock = NetworkLock(path)
assert path.with_name("ana.db.lock").exists()
try:
    NetworkLock(path)
except peerstack.ProfileInUse:
    sys.exit(0)
sys.exit("two hold the network")
"""


def make(path: Path) -> Path:
    with peerstack.open_sync(path, "Ana", network=False) as node:
        node.personal.put("note", {"title": "Milk"})
    return path


@contextmanager
def holding(path: Path) -> Iterator[int]:
    """Another process that has the profile's network open; its id."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        yield process.pid
        process.communicate()


def crash_after(removals: int, path: Path) -> bool:
    """Wipe in a process that dies before it removes one more file; whether it died."""
    command = [sys.executable, "-c", CRASH, str(path), str(removals)]
    return subprocess.run(command, check=False).returncode == 9


@pytest.mark.parametrize("network", [True, False])
async def test_a_node_removes_all_of_its_profile_and_is_closed(
    network: bool, tmp_path: Path
) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=network) as node:
        await node.personal.put("note", {"title": "Milk"})

        await node.wipe()

        assert list(tmp_path.iterdir()) == []
        with pytest.raises(peerstack.NodeClosed):
            await node.wipe()
    assert list(tmp_path.iterdir()) == []


def test_a_wiped_place_is_free_for_another_profile(tmp_path: Path) -> None:
    peerstack.wipe(make(tmp_path / "ana.db"))

    with peerstack.open_sync(tmp_path / "ana.db", "Ben") as node:
        assert node.user.name == "Ben"
        assert node.personal.find("note") == []
        node.wipe()
    assert list(tmp_path.iterdir()) == []


def test_nothing_beside_the_profile_is_touched(tmp_path: Path) -> None:
    make(tmp_path / "ana.db")
    others = ["ana.db.keys.bak", "ana.db.keys.backup1.old", "ana.dbx", "ana", "ana.db.json"]
    for name in others:
        (tmp_path / name).write_text("mine")
    make(tmp_path / "ana.db2")
    with peerstack.open_sync(tmp_path / "ana.db2", network=False) as other:
        peerstack.wipe(tmp_path / "ana.db")

        assert len(other.personal.find("note")) == 1
    assert {*others, "ana.db2", "ana.db2.keys"} == {each.name for each in tmp_path.iterdir()}


@pytest.mark.parametrize("left", ["ana.db.keys", "ana.db"])
def test_a_profile_that_cannot_be_opened_any_more_is_wiped(left: str, tmp_path: Path) -> None:
    path = make(tmp_path / "ana.db")
    if left == "ana.db":
        (tmp_path / "ana.db.keys").unlink()
    else:
        path.write_bytes(b"broken" * 1000)

    peerstack.wipe(path)

    assert list(tmp_path.iterdir()) == []


def test_a_sealed_profile_is_wiped_without_its_passphrase(tmp_path: Path) -> None:
    with peerstack.open_sync(tmp_path / "ana.db", "Ana", passphrase="of birches", network=False):
        pass

    peerstack.wipe(tmp_path / "ana.db")

    assert list(tmp_path.iterdir()) == []


def test_copies_of_the_keys_that_a_crash_left_go_too(tmp_path: Path) -> None:
    path = make(tmp_path / "ana.db")
    (tmp_path / "ana.db.keys.a_b3c9xy.tmp").write_bytes((tmp_path / "ana.db.keys").read_bytes())

    peerstack.wipe(path)

    assert list(tmp_path.iterdir()) == []


def test_behind_links_the_files_themselves_are_removed(tmp_path: Path) -> None:
    folder, disk = tmp_path / "here", tmp_path / "disk"
    folder.mkdir()
    disk.mkdir()
    make(disk / "ana.db")
    (folder / "ana.db").symlink_to(disk / "ana.db")
    (folder / "ana.db.keys").symlink_to(disk / "ana.db.keys")
    (disk / "ana.db.keys.a_b3c9xy.tmp").write_text("a write of the keys that was cut short")
    with peerstack.open_sync(folder / "ana.db", network=False) as node:
        node.personal.put("note", {})
        assert (disk / "ana.db-wal").exists(), "SQLite puts it beside the file itself"

        peerstack.wipe(folder / "ana.db")

    assert [*folder.iterdir(), *disk.iterdir()] == []


@pytest.mark.parametrize("content", ["", "notes", "SQLite format 3\0" + "x" * 200])
def test_what_is_no_profile_is_left_alone(content: str, tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    path.write_text(content)
    path.with_name("photos.db.lock").write_text("4711")

    with pytest.raises(peerstack.InvalidValue, match="nothing was removed"):
        peerstack.wipe(path)

    assert path.read_text() == content


def test_nothing_to_wipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(peerstack.NotFound, match="nowhere"):
        peerstack.wipe(tmp_path / "nowhere.db")
    assert list(tmp_path.iterdir()) == []


async def test_a_profile_whose_network_another_process_has_is_not_wiped(tmp_path: Path) -> None:
    path = make(tmp_path / "ana.db")
    with holding(path) as process:
        with pytest.raises(peerstack.ProfileInUse, match=str(process)):
            await asyncio.to_thread(peerstack.wipe, path)
        async with peerstack.open(path, network=False) as node:
            with pytest.raises(peerstack.ProfileInUse, match=str(process)):
                await node.wipe()
            assert len(await node.personal.find("note")) == 1, "it is open and whole"
    peerstack.wipe(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("removals", range(12))
def test_a_crash_leaves_no_keys_or_all_and_the_next_wipe_the_rest(
    removals: int, tmp_path: Path
) -> None:
    path = make(tmp_path / "ana.db")
    # An open reader keeps SQLite from removing these itself.
    with peerstack.open_sync(path, network=False) as beside:
        beside.personal.put("note", {})
        names = {each.name for each in tmp_path.iterdir()}
        assert names >= {"ana.db", "ana.db-wal", "ana.db-shm", "ana.db.keys"}
        died = crash_after(removals, path)
    left = {each.name for each in tmp_path.iterdir()}
    assert died is (left != set())
    assert ("ana.db.keys" in left) is (removals == 0)

    if died:
        peerstack.wipe(path)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    path = make(tmp_path / "ana.db")
    path.unlink()
    (path / "in the way").mkdir(parents=True)

    with pytest.raises(peerstack.StoreFull, match=r"ana\.db"):
        peerstack.wipe(path)

    assert not (tmp_path / "ana.db.keys").exists(), "keys went first"


def test_a_lock_whose_file_is_removed_meanwhile_is_taken_anew(tmp_path: Path) -> None:
    """Else two processes could hold two files: the one that is gone, and the one that stands."""
    done = subprocess.run([sys.executable, "-c", RACE, str(tmp_path / "ana.db")], check=False)

    assert done.returncode == 0
