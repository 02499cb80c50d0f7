"""Profiles on disk: keys and databases, passphrases, locks, several processes, closing."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import peerstack
from peerstack.engine.secrets import shared_secrets
from peerstack.node.files import Files, first_keys, open_files
from peerstack.node.node import start_node
from tests.unmade import unmake


async def test_a_profile_keeps_its_user_and_records(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ana.db"
    async with peerstack.open(path, name="Ana", network=False) as node:
        user = node.user.id
        note = await node.personal.put("note", {"title": "Milk"})

    async with peerstack.open(path, network=False) as node:
        assert node.user.id == user
        assert node.user.name == "Ana"
        assert await node.personal.get(note.id) == note


async def test_a_new_profile_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(peerstack.InvalidValue, match="name"):
        async with peerstack.open(tmp_path / "ana.db", network=False):
            pass
    assert not (tmp_path / "ana.db").exists()


async def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", name="Ana", network=False) as node:
        secret = bytes(node.user.device_key.seed)

        for file in tmp_path.glob("ana.db*"):
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file.name
            if not file.name.endswith(".keys"):
                assert secret not in file.read_bytes(), file.name
        assert secret.hex() not in repr(node.user)


async def test_a_passphrase_seals_the_keys(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    async with peerstack.open(path, "Ana", passphrase="horse", network=False) as node:
        seed = bytes(node.user.device_key.seed)
    assert seed not in (tmp_path / "ana.db.keys").read_bytes()

    for wrong in (None, "donkey"):
        with pytest.raises(peerstack.ProfileLocked, match="passphrase"):
            async with peerstack.open(path, passphrase=wrong, network=False):
                pass
    async with peerstack.open(path, passphrase="horse", network=False) as node:
        assert bytes(node.user.device_key.seed) == seed


async def test_a_passphrase_leaves_records_and_the_secrets_of_groups_as_they_are(
    tmp_path: Path,
) -> None:
    """Whoever has the folder reads them; an encrypted disk is what helps."""
    async with peerstack.open(
        tmp_path / "ana.db", "Ana", passphrase="horse", network=False
    ) as node:
        family = await node.create_group("Family")
        await family.put("note", {"title": "a note in plain text"})
        secrets = [each.secret for each in await node._shell.perform(shared_secrets)]

    content = (tmp_path / "ana.db").read_bytes()
    assert b"a note in plain text" in content
    assert len(secrets) == 2
    assert all(secret.hex().encode() in content for secret in secrets)


async def test_a_database_without_its_keys_is_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    async with peerstack.open(path, "Ana", network=False):
        pass
    (tmp_path / "ana.db.keys").unlink()

    with pytest.raises(peerstack.StoreDamaged, match=r"ana\.db\.keys"):
        async with peerstack.open(path, "Eve", network=False):
            pass


async def test_keys_of_another_user_do_not_open_a_database(tmp_path: Path) -> None:
    for name in ("ana", "eve"):
        async with peerstack.open(tmp_path / f"{name}.db", name, network=False):
            pass
    (tmp_path / "eve.db.keys").replace(tmp_path / "ana.db.keys")

    with pytest.raises(peerstack.StoreDamaged, match="belong together"):
        async with peerstack.open(tmp_path / "ana.db", network=False):
            pass


async def test_a_damaged_key_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    async with peerstack.open(path, "Ana", network=False):
        pass
    keys = tmp_path / "ana.db.keys"
    keys.write_bytes(keys.read_bytes()[:-20])

    with pytest.raises(peerstack.StoreDamaged, match="damaged"):
        async with peerstack.open(path, network=False):
            pass


async def test_an_interrupted_first_opening_is_completed_by_the_next(tmp_path: Path) -> None:
    """The keys are written first: with them, the same user is set up again."""
    path = tmp_path / "ana.db"
    async with peerstack.open(path, "Ana", network=False) as node:
        user = node.user.id
    unmake(path)

    async with peerstack.open(path, network=False) as node:
        assert node.user.id == user
        await node.personal.put("note", {"title": "Milk"})


async def test_one_process_holds_the_network_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    holder = (
        "import peerstack, sys\n"
        "with peerstack.open_sync(sys.argv[1], 'Ana') as node:\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"

        with pytest.raises(peerstack.ProfileInUse, match=str(process.pid)):
            async with peerstack.open(path):
                pass
        async with peerstack.open(path, network=False) as beside:
            await beside.personal.put("note", {"title": "written beside"})

        process.communicate()
    async with peerstack.open(path) as node:
        assert len(await node.personal.find("note")) == 1


async def test_what_another_process_writes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ana.db"
    async with (
        peerstack.open(path, "Ana", network=False) as node,
        peerstack.open(path, network=False) as other,
    ):
        changes = node.personal.changes()

        note = await other.personal.put("note", {"title": "from beside"})

        async with asyncio.timeout(20):
            assert (await anext(changes)).record == note


async def test_a_closed_node_says_that_it_is_closed(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        await node.close()
        await node.close()

        for use in (node.personal.put("note", {}), node.personal.find("note"), node.groups()):
            with pytest.raises(peerstack.NodeClosed, match="closed"):
                await use
        with pytest.raises(peerstack.NodeClosed):
            node.personal.changes()
        with pytest.raises(peerstack.NodeClosed):
            node.status()


async def test_use_from_another_event_loop_is_a_clear_error(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:

        def elsewhere() -> None:
            asyncio.run(node.personal.put("note", {}))

        with pytest.raises(peerstack.NodeClosed, match="another event loop"):
            await asyncio.to_thread(elsewhere)


async def test_a_cancelled_write_leaves_the_node_usable(tmp_path: Path) -> None:
    async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
        writing = asyncio.ensure_future(node.personal.put("note", {"n": 1}))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing

        await node.personal.put("note", {"n": 2})

        assert {"n": 2} in [note.value for note in await node.personal.find("note")]


async def test_a_profile_that_two_make_at_once_has_one_user(tmp_path: Path) -> None:
    async def open_and_ask() -> str:
        async with peerstack.open(tmp_path / "ana.db", "Ana", network=False) as node:
            await node.personal.put("note", {})
            return node.user.id

    users = await asyncio.gather(*(open_and_ask() for _ in range(4)))

    assert len(set(users)) == 1


async def test_an_opening_that_is_cancelled_is_over_when_that_is_known_and_keeps_nothing_in_use(
    tmp_path: Path,
) -> None:
    path, loop = tmp_path / "ana" / "ana.db", asyncio.get_running_loop()
    begun, may_go_on, over = asyncio.Event(), threading.Event(), threading.Event()

    def open_slowly() -> Files:
        loop.call_soon_threadsafe(begun.set)
        may_go_on.wait(30)
        files = open_files(path, lambda: first_keys("Ana"), None, True, None, None)
        over.set()
        return files

    opening = asyncio.ensure_future(start_node(open_slowly, [], None))
    await begun.wait()
    opening.cancel()
    loop.call_soon(may_go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await opening

    assert over.is_set()
    async with peerstack.open(path) as node:
        assert node.user.name == "Ana"
