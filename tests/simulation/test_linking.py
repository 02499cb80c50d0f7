"""A new device of one's own: linked by a link, six digits and a confirmation, on real engines."""

from __future__ import annotations

from peerstack.testing.device import Device
from peerstack.testing.world import World


def linked(world: World, old: Device, name: str, *, full: bool = True) -> Device:
    """A new device of a device's user, linked and level."""
    new = world.device(name, link=old.link_device(full=full))
    world.run_until(lambda: old.digits is not None and new.digits is not None)
    assert old.digits == new.digits
    old.confirm_link()
    world.run_until(lambda: new.is_linked)
    world.settle()
    return new


def test_a_device_is_linked_once_both_show_the_same_digits_and_the_old_one_confirms() -> None:
    world = World()
    ana = world.device("ana")
    ana.put(ana.user.id, "note", {"title": "Milk"})
    laptop = linked(world, ana, "laptop")
    assert laptop.user.id == ana.user.id
    assert laptop.records(ana.user.id) == ana.records(ana.user.id)
    assert laptop.user.root.public == ana.user.root.public
    assert ana.is_level(ana.user.id)
    assert laptop.is_level(ana.user.id)
    assert laptop.hangups == ana.hangups == []
