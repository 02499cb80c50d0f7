"""What the tests of linking begin with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from peerstack.engine.link_state import LinkState
from peerstack.errors import RemoteError
from peerstack.identity import Device as Certified
from peerstack.ids import DeviceId
from peerstack.session.wire import decode_untrusted
from peerstack.testing.device import Device
from peerstack.testing.world import World


def links_of(device: Device) -> LinkState:
    """How linking stands on a device."""
    return device.engine.me.links


def show_digits(world: World, old: Device, name: str = "laptop", *, full: bool = True) -> Device:
    """A new device of a device's user, as far as both show digits."""
    new = world.device(name, link=old.link_device(full=full))
    world.run_until(lambda: old.digits is not None and new.digits is not None)
    return new


def link(world: World, old: Device, name: str = "laptop", *, full: bool = True) -> Device:
    """A new device of a device's user, linked and level."""
    new = show_digits(world, old, name, full=full)
    assert old.digits == new.digits
    old.confirm_link()
    world.run_until(lambda: new.is_linked)
    world.settle()
    return new


def own_devices(device: Device) -> dict[DeviceId, Certified]:
    """The devices of a device's user, by what it knows."""
    user = device.user.id
    identity = device.perform(lambda turn: turn.state(user)).identities.get(user)
    return dict(identity.devices) if identity else {}


def messages(sent: Iterable[bytes]) -> Iterator[Any]:
    """What was said, but for what makes no sense."""
    for data in sent:
        try:
            yield decode_untrusted(data)
        except RemoteError:
            continue
