"""A profile's phrase and kit: confirmed, forgotten, and used on an empty machine."""

from __future__ import annotations

import asyncio
import shutil
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

import peerstack
from peerstack.engine.statements import add_own_identity
from peerstack.identity import Identity, next_key_hash
from peerstack.identity.phrase import decode_untrusted_phrase
from peerstack.ids import DeviceId
from peerstack.keys import Signer
from peerstack.node.keyfile import path_of
from peerstack.record import Signed
from tests.searching import found_in
from tests.unmade import unmake

SERVER = "http://127.0.0.1:1"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest_asyncio.fixture
async def node(home: Path) -> AsyncIterator[peerstack.Node]:
    async with peerstack.open(home / "ana.db", "Ana", SERVER, network=False) as opened:
        yield opened


async def some_words(node: peerstack.Node) -> dict[int, str]:
    phrase = await node.recovery_phrase()
    return {place: phrase[place - 1] for place in (2, 11, 24)}


async def identity_at(node: peerstack.Node) -> Identity:
    return await node.perform(lambda turn: turn.state(node.user.id).identities[node.user.id])


# --- The phrase. ----------------------------------------------------------------------------------


async def test_the_phrase_is_the_seed_of_the_next_root_key(node: peerstack.Node) -> None:
    phrase = await node.recovery_phrase()

    assert len(phrase) == 24
    assert decode_untrusted_phrase(phrase) == node.user.recovery
    assert await node.recovery_phrase() == phrase


async def test_status_advises_to_confirm_until_it_is_done(node: peerstack.Node) -> None:
    assert node.status().problems == []
    assert any("recovery phrase" in each for each in node.status().advice)

    await node.confirm_recovery(await some_words(node))
    assert any("no recovery kit" in each for each in node.status().advice)


async def test_a_confirmed_phrase_is_nowhere_any_more(node: peerstack.Node, home: Path) -> None:
    seed = node.user.recovery
    assert seed is not None
    assert found_in(home, seed) == ["ana.db.keys"]

    await node.confirm_recovery(await some_words(node))
    await node.write_kit(home / "kit")

    assert found_in(home, seed) == []
    assert node.user.recovery is None
    assert (await node.perform(lambda turn: turn.me.user)).recovery is None
    with pytest.raises(peerstack.NotAllowed, match="confirmed"):
        await node.recovery_phrase()
    with pytest.raises(peerstack.NotAllowed, match="confirmed"):
        await node.confirm_recovery({1: "abandon", 2: "abandon", 3: "abandon"})


async def test_wrong_words_change_nothing(node: peerstack.Node) -> None:
    words = await some_words(node)

    with pytest.raises(peerstack.InvalidPhrase, match="word 2"):
        await node.confirm_recovery({**words, 2: "zebra"})

    await node.confirm_recovery(words)


async def test_a_sealed_profile_forgets_and_stays_sealed(home: Path) -> None:
    path = home / "ana.db"
    async with peerstack.open(path, "Ana", passphrase="horse", network=False) as node:
        await node.confirm_recovery(await some_words(node))

    with pytest.raises(peerstack.ProfileLocked):
        async with peerstack.open(path, network=False):
            pass
    async with peerstack.open(path, passphrase="horse", network=False) as node:
        assert node.user.recovery is None
        await node.write_kit(home / "kit")


async def test_other_processes_of_the_profile_forget_too(node: peerstack.Node, home: Path) -> None:
    async with peerstack.open(home / "ana.db", network=False) as beside:
        words = await some_words(beside)
        await node.confirm_recovery(words)

        with pytest.raises(peerstack.NotAllowed):
            await beside.confirm_recovery(words)
        assert beside.user.recovery is None

    async with peerstack.open(home / "ana.db", network=False) as again:
        assert again.user.recovery is None


async def test_a_process_that_only_stands_by_forgets_by_itself(home: Path) -> None:
    async with (
        peerstack.open(home / "ana.db", "Ana", network=False) as node,
        peerstack.open(home / "ana.db", network=False) as beside,
    ):
        await node.confirm_recovery(await some_words(node))

        async with asyncio.timeout(20):
            async for _ in beside.live_status():
                if beside.user.recovery is None:
                    break


# --- The kit. -------------------------------------------------------------------------------------


async def test_a_kit_tells_who_one_is_and_where_to_look(node: peerstack.Node, home: Path) -> None:
    family = await node.create_group("Family")
    phrase, path = await node.recovery_phrase(), home / "kit"

    await node.write_kit(path)

    kit = peerstack.read_kit(path, phrase)
    assert (kit.user, kit.name) == (node.user.id, "Ana")
    assert [each.id for each in kit.devices] == [node.user.device]
    assert kit.whereabouts.servers == (SERVER,)
    assert {each.id: each.name for each in kit.whereabouts.groups} == {
        node.user.id: "",
        family.id: "Family",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_kit_can_be_written_again_after_confirming(
    node: peerstack.Node, home: Path
) -> None:
    phrase, path = await node.recovery_phrase(), home / "kit"
    await node.write_kit(path)
    await node.confirm_recovery(await some_words(node))
    assert node.status().advice == []

    await node.create_group("Choir")
    assert any("Choir" in each for each in node.status().advice)
    await node.write_kit(path)

    assert node.status().advice == []
    assert "Choir" in [each.name for each in peerstack.read_kit(path, phrase).whereabouts.groups]


async def test_a_kit_takes_the_place_of_nothing_but_a_kit(node: peerstack.Node, home: Path) -> None:
    photo = home / "photo.png"
    photo.write_bytes(b"\x89PNG")
    for path, told in ((photo, "no recovery kit"), (home / "no" / "kit", "no folder")):
        with pytest.raises(peerstack.InvalidValue, match=told):
            await node.write_kit(path)

    assert photo.read_bytes() == b"\x89PNG"
    assert not (home / "no").exists()


async def test_a_kit_opens_with_its_own_phrase_only(node: peerstack.Node, home: Path) -> None:
    await node.write_kit(home / "kit")
    async with peerstack.open(home / "bo.db", "Bo", network=False) as bo:
        other = await bo.recovery_phrase()

    with pytest.raises(peerstack.InvalidKit, match="another phrase"):
        peerstack.read_kit(home / "kit", other)
    with pytest.raises(peerstack.InvalidKit, match="cannot read"):
        peerstack.read_kit(home / "none", other)
    with pytest.raises(peerstack.InvalidPhrase, match="word 1 is in no"):
        peerstack.read_kit(home / "kit", "nevermore gonna give")


# --- Taking oneself back. -------------------------------------------------------------------------


class Lost:
    """What Ana has left of a device that is gone: phrase and kit, and what was in them."""

    def __init__(self, node: peerstack.Node, phrase: list[str], kit: Path) -> None:
        self.user = node.user
        self.phrase = phrase
        self.kit = kit


@pytest_asyncio.fixture
async def lost(node: peerstack.Node, home: Path, tmp_path: Path) -> Lost:
    await node.create_group("Family")
    phrase, kit = await node.recovery_phrase(), tmp_path / "kit"
    await node.write_kit(kit)
    await node.confirm_recovery(await some_words(node))
    return Lost(node, phrase, kit)


async def test_an_empty_machine_is_the_same_user_with_new_keys(lost: Lost, tmp_path: Path) -> None:
    new = tmp_path / "new" / "ana.db"
    async with peerstack.recover(new, lost.phrase, lost.kit, network=False) as node:
        assert (node.user.id, node.user.name) == (lost.user.id, "Ana")
        assert node.user.device != lost.user.device
        assert node.server_urls == (SERVER,)
        identity = await identity_at(node)
        assert set(identity.devices) == {lost.user.device, node.user.device}
        phrase = await node.recovery_phrase()
        assert phrase != lost.phrase
        note = await node.personal.put("note", {"title": "back"})

    async with peerstack.open(new, network=False) as node:
        assert await node.personal.get(note.id) == note
        assert await node.recovery_phrase() == phrase


async def test_devices_that_were_lost_are_revoked(lost: Lost, tmp_path: Path) -> None:
    async with peerstack.recover(
        tmp_path / "new.db", lost.phrase, lost.kit, revoke=[lost.user.device], network=False
    ) as node:
        identity = await identity_at(node)

        assert identity.devices[lost.user.device].end_ms is not None
        assert identity.devices[node.user.device].end_ms is None


async def test_a_device_that_the_kit_does_not_know_cannot_be_revoked_by_it(
    lost: Lost, tmp_path: Path
) -> None:
    new = tmp_path / "new.db"
    with pytest.raises(peerstack.NotFound, match="by this kit"):
        async with peerstack.recover(
            new, lost.phrase, lost.kit, revoke=[DeviceId(lost.user.id)], network=False
        ):
            pass
    assert not path_of(new).exists()


async def test_a_recovery_that_was_cut_short_goes_on_without_a_second_rotation(
    lost: Lost, tmp_path: Path
) -> None:
    """A second rotation of one parent would be a fork. What was signed is in the key file."""
    new = tmp_path / "new.db"
    async with peerstack.recover(new, lost.phrase, lost.kit, network=False) as node:
        first = node.user
    keys = path_of(new).read_bytes()
    # As a crash between the key file and the database would leave it.
    unmake(new)

    async with peerstack.recover(new, lost.phrase, lost.kit, network=False) as node:
        assert node.user.device == first.device
        assert node.user.statements == first.statements
        assert not (await identity_at(node)).forked
        groups = await node.perform(lambda turn: turn.tx.find(node.user.id, "$data.group"))
        assert [each.value["name"] for each in groups] == ["Family"]
    assert path_of(new).read_bytes() == keys


@pytest.mark.parametrize("opens", ["recover", "open"])
async def test_whatever_opens_it_next_completes_a_recovery(
    lost: Lost, tmp_path: Path, opens: str
) -> None:
    new = tmp_path / "new.db"
    async with peerstack.recover(new, lost.phrase, lost.kit, network=False):
        pass
    unmake(new)

    again = (
        peerstack.open(new, network=False)
        if opens == "open"
        else peerstack.recover(new, lost.phrase, lost.kit, network=False)
    )
    async with again as node:
        await node.write_kit(tmp_path / "kit2")
        kit = peerstack.read_kit(tmp_path / "kit2", await node.recovery_phrase())
        assert {each.name for each in kit.whereabouts.groups} == {"", "Family"}
        assert kit.whereabouts.servers == (SERVER,)


async def test_a_repeated_recovery_says_so_where_it_cannot_do_more(
    lost: Lost, tmp_path: Path
) -> None:
    new = tmp_path / "new.db"
    async with peerstack.recover(new, lost.phrase, lost.kit, network=False):
        pass

    with pytest.raises(peerstack.NotAllowed, match="begun before"):
        async with peerstack.recover(
            new, lost.phrase, lost.kit, revoke=[lost.user.device], network=False
        ):
            pass


async def test_a_profile_of_somebody_is_not_recovered_over(lost: Lost, home: Path) -> None:
    async with peerstack.open(home / "bo.db", "Bo", network=False):
        pass
    for there in ("bo.db", "ana.db"):
        with pytest.raises(peerstack.InvalidValue, match="another profile"):
            async with peerstack.recover(home / there, lost.phrase, lost.kit, network=False):
                pass


async def test_a_recovered_user_recovers_again_with_the_new_phrase(
    lost: Lost, tmp_path: Path
) -> None:
    async with peerstack.recover(
        tmp_path / "two.db", lost.phrase, lost.kit, passphrase="horse", network=False
    ) as node:
        phrase = await node.recovery_phrase()
        await node.write_kit(tmp_path / "kit2")
        await node.confirm_recovery(await some_words(node))
        seed = Signer(node.user.root.seed).public if node.user.root else b""
        second = node.user.device

    async with peerstack.recover(
        tmp_path / "three.db", phrase, tmp_path / "kit2", revoke=[second], network=False
    ) as node:
        identity = await identity_at(node)
        assert len(identity.devices) == 3
        assert identity.root != seed
    with pytest.raises(peerstack.InvalidKit, match="another phrase"):
        peerstack.read_kit(tmp_path / "kit2", lost.phrase)


async def test_a_device_that_the_kit_did_not_know_is_kept_afterwards(
    lost: Lost, tmp_path: Path
) -> None:
    """Here the old laptop itself is what was left out."""
    async with peerstack.recover(
        tmp_path / "new.db", lost.phrase, lost.kit, keep=[], network=False
    ) as node:
        # No devices named is no devices kept.
        assert set((await identity_at(node)).devices) == {node.user.device}
        assert any(lost.user.device in each for each in node.status().advice)

        await node.keep_device(lost.user.device, until=datetime(2100, 1, 1, tzinfo=UTC))
        await node.keep_device(lost.user.device)

        device = (await identity_at(node)).devices[lost.user.device]
        assert device.end_ms == datetime(2100, 1, 1, tzinfo=UTC).timestamp() * 1000
        assert not any(lost.user.device in each for each in node.status().advice)
        with pytest.raises(peerstack.NotFound, match="no device"):
            await node.keep_device(DeviceId(lost.user.id))


# --- A thief with a copy of the folder. -----------------------------------------------------------


async def test_a_copy_of_the_folder_taken_after_confirming_cannot_rotate(
    lost: Lost, home: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "thief"
    shutil.copytree(home, copy)
    shutil.copy(lost.kit, copy)

    assert found_in(copy, decode_untrusted_phrase(lost.phrase)) == []
    async with peerstack.open(copy / "ana.db", network=False) as thief:
        identity = await identity_at(thief)
        with pytest.raises(peerstack.NotAllowed):
            await thief.recovery_phrase()
        assert thief.user.root is not None
        for key in (thief.user.root, thief.user.device_key):
            assert next_key_hash(key.public) != identity.next


async def test_a_copy_taken_before_confirming_could(home: Path, tmp_path: Path) -> None:
    """Why the advice is there: until then, the seed lies in the folder."""
    async with peerstack.open(home / "ana.db", "Ana", network=False) as node:
        seed = node.user.recovery
    assert seed is not None
    copy = tmp_path / "thief"
    shutil.copytree(home, copy)

    assert found_in(copy, seed) == ["ana.db.keys"]


async def test_what_is_told_of_the_old_device_once_it_has_heard(
    lost: Lost, node: peerstack.Node, tmp_path: Path
) -> None:
    async with peerstack.recover(tmp_path / "new.db", lost.phrase, lost.kit, network=False) as new:
        made = new.user.statements
    await node.perform(lambda turn: add_own_identity(turn, made))

    [advice] = [each for each in node.status().advice if "recovered on another device" in each]
    assert "recovery phrase" in advice
    with pytest.raises(peerstack.NotAllowed, match="another phrase now"):
        await node.write_kit(tmp_path / "late")
    await node.personal.put("note", {"title": "goes on"})


async def test_a_device_that_the_recovery_did_not_keep_says_so_and_writes_nothing(
    lost: Lost, node: peerstack.Node, tmp_path: Path
) -> None:
    async with peerstack.recover(
        tmp_path / "new.db", lost.phrase, lost.kit, keep=[], network=False
    ) as new:
        made = new.user.statements
    await node.perform(lambda turn: add_own_identity(turn, made))

    [problem] = node.status().problems
    assert f"--keep {node.user.device}" in problem
    with pytest.raises(peerstack.NotAllowed):
        await node.personal.put("note", {"title": "counts for nothing"})
    with pytest.raises(peerstack.NotAllowed):
        await node.create_group("Choir")
    async with peerstack.open(tmp_path / "bo.db", "Bo", network=False) as bo:
        link = await (await bo.create_group("Choir")).invite()
    with pytest.raises(peerstack.NotAllowed):
        await node.join(link)


async def test_a_fork_is_told_to_whom_it_happened_and_to_others(
    lost: Lost, node: peerstack.Node, tmp_path: Path
) -> None:
    made: list[Signed] = []
    for name in ("one", "two"):
        async with peerstack.recover(
            tmp_path / f"{name}.db", lost.phrase, lost.kit, network=False
        ) as new:
            made += new.user.statements

    await node.perform(lambda turn: add_own_identity(turn, made))

    assert (await identity_at(node)).forked
    [problem] = node.status().problems
    assert "recovered twice with one phrase" in problem
    assert node.status().advice == []
    with pytest.raises(peerstack.NotAllowed, match="recovered twice"):
        await node.write_kit(tmp_path / "late")
    with pytest.raises(peerstack.NotAllowed, match="recovered twice"):
        await node.keep_device(DeviceId(made[-1].value["device"]))
