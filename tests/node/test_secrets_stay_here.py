"""No secret reaches the signaling server, in any spelling: all that crosses a real one is searched.

In the original, secret keys were sent to the server.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import peerstack
from peerstack.engine.secrets import shared_secrets
from peerstack.groups.invites import decode_untrusted_link, invite_signer, invite_topic
from peerstack.keys import KEY_BYTES, Secret
from peerstack.node.ports import SystemClock, SystemEntropy
from peerstack.signaling.rendezvous.boxes import topic_of
from peerstack.signaling.wire import day_of
from tests.raw_socket import raw_device
from tests.recording_proxy import found, recorded_server, spellings


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """All random bytes that become a key or a seed, whoever draws them and whatever for."""
    seeds: list[bytes] = []
    draw = SystemEntropy.draw

    def noted(self: SystemEntropy, size_bytes: int) -> bytes:
        content = draw(self, size_bytes)
        if size_bytes == KEY_BYTES:
            seeds.append(content)
        return content

    monkeypatch.setattr(SystemEntropy, "draw", noted)
    return seeds


def box_seeds(node: peerstack.Node) -> dict[str, bytes]:
    presences = node._engine._meeting._rendezvous._beacon.presences
    return {
        f"{node.user.name}'s box at {server}": bytes(presence.box_key._key)
        for server, presence in presences.items()
    }


async def secrets_of(node: peerstack.Node) -> dict[str, bytes]:
    user = node.user
    assert user.root is not None
    assert user.recovery is not None
    named: dict[str, bytes] = {
        "root": user.root.seed,
        "device": user.device_key.seed,
        "recovery": user.recovery,
    }
    shared = await node._shell.perform(shared_secrets)
    named |= {f"meeting place {number}": each.secret for number, each in enumerate(shared)}
    return {f"{user.name}'s {name}": secret for name, secret in named.items()} | box_seeds(node)


def secrets_of_link(link: str) -> dict[str, bytes]:
    seed = Secret(decode_untrusted_link(link).seed)
    return {
        "the invite": seed,
        "the invite's key": invite_signer(seed).seed,
        "the invite's meeting place": invite_topic(seed),
    }


async def test_no_secret_crosses_the_server_while_devices_meet_join_and_sync(
    tmp_path: Path, drawn: list[bytes]
) -> None:
    with recorded_server() as recording:
        async with peerstack.open(tmp_path / "ana.db", "Ana", recording.url) as ana:
            family = await ana.create_group("Family")
            link = await family.invite()
            async with peerstack.open(tmp_path / "ben.db", "Ben") as ben:
                shared = await ben.join(link)
                await family.put("note", {"title": "Milk"})
                # Ben cannot know of it before it comes; Ana knows once he has it.
                await ana.wait_synced()
                assert await shared.find("note") == await family.find("note")
                secrets = await secrets_of(ana) | await secrets_of(ben) | secrets_of_link(link)
            # Once more, with keys of another connection.
            async with peerstack.open(tmp_path / "ben.db") as ben:
                await ben.wait_synced()
                secrets |= await secrets_of(ben)
        crossed = recording.everything

    assert len(secrets) >= 3 + 3 + 3 + 3 + 3
    assert {name: found(each, crossed) for name, each in secrets.items()} == {
        name: set() for name in secrets
    }
    assert {secrets[name] for name in secrets if "meeting place" not in name} - set(drawn) == {
        secrets["the invite's key"]
    }
    assert [seed.hex() for seed in drawn if found(seed, crossed)] == []
    check_that_it_would_be_found(secrets, crossed)


def check_that_it_would_be_found(secrets: dict[str, bytes], crossed: bytes) -> None:
    """What devices do tell the server, 32 bytes that they derive from a secret, is found."""
    place = next(Secret(each) for name, each in secrets.items() if "meeting place" in name)
    days = [day_of(SystemClock().now().wall_ms) + late for late in (-1, 0, 1)]
    assert any(found(topic_of(place, day), crossed) for day in days)


@pytest.mark.parametrize("name", [name for name, _ in spellings(bytes(32))])
async def test_the_search_finds_a_secret_that_crosses_the_server(name: str) -> None:
    secret = bytes(range(100, 132))
    spelled = dict(spellings(secret))[name]
    with recorded_server() as recording:
        async with raw_device(recording.url) as (socket, _):
            await socket.say(
                spelled if name == "raw" else f'427["signal",{{"to":"{spelled.decode()}"'
            )
            async with asyncio.timeout(20):
                while name not in found(secret, recording.everything):
                    await asyncio.sleep(0.01)

    assert found(bytes(reversed(secret)), recording.everything) == set()
