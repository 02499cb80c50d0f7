"""What somebody has on paper and on a stick, and recovers from."""

from __future__ import annotations

from typing import NamedTuple

from peerstack.engine import recovering
from peerstack.identity import User, decode_untrusted_kit, kit_key_of, recovered, seal_kit
from peerstack.keys import Secret
from peerstack.testing.device import Device
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World


class Papers(NamedTuple):
    """What somebody has on paper and on a stick: the seed as words, and the kit."""

    seed: Secret
    kit: bytes


def papers_of(device: Device) -> Papers:
    """Write the kit, confirm the phrase: from here on, the device has the seed no more."""
    content = device.perform(recovering.kit_content)
    seed = device.perform(recovering.present_seed)
    kit = seal_kit(
        content.kit_key, content.statements, content.whereabouts, SeededEntropy(device.name)
    )
    device.perform(recovering.confirmed)
    return Papers(seed, kit)


def recover(world: World, papers: Papers, name: str, *lost: Device, online: bool = True) -> Device:
    """A new device of whoever has the papers, after which the lost ones are revoked."""
    kit = decode_untrusted_kit(papers.kit, kit_key_of(papers.seed))
    user: User = recovered(
        papers.seed,
        kit.statements,
        f"{name}'s device",
        world.wall_ms,
        SeededEntropy(f"{world.seed}/{name}"),
        revoke=[each.user.device for each in lost],
    )
    return world.device(name, user=user, restores=kit.whereabouts, online=online)
