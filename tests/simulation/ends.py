"""How a member's right ends, statement by statement, and what a device has of it then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from peerstack import limits
from peerstack.engine import Turn
from peerstack.engine.merging import merge
from peerstack.engine.writing import add_own_statements, sign_statement, stamp_for_statement
from peerstack.groups.seals import seal_root
from peerstack.groups.statements import CLOSE_TYPE, SEAL_TYPE, Close, Role, Seal
from peerstack.ids import DeviceId, GroupId, RecordId, UserId
from peerstack.keys import Hash
from peerstack.record import Record, Signed
from peerstack.store import LoggedChange, SetAside
from peerstack.testing.device import Device
from peerstack.testing.world import World
from tests.simulation.people import family_of

Family = tuple[World, GroupId, Device, Device, Device]


def remove(
    admin: Device,
    group: GroupId,
    user: UserId,
    keep: Iterable[Hash] = (),
    *,
    sealed: bool = True,
) -> Hash:
    """End all that a user may do, with a seal over what stays; the hash of the last `$close`.

    With `sealed` false, the seal that it commits to is not there (yet).
    """
    hashes = sorted(keep)

    def act(turn: Turn) -> Hash:
        state = turn.state(group)
        by = state.grant_for(turn.me.user.id, Role.ADMIN)
        assert by is not None
        ended = Hash(b"")
        for grant in state.open_grants(user):
            stamp = stamp_for_statement(turn, state, max(grant.since_ms, by.since_ms))
            root = seal_root(hashes).hex()
            form = Close(by.hash.hex(), grant.hash.hex(), len(hashes), root)
            closed = sign_statement(turn, group, CLOSE_TYPE, form, stamp)
            parts = _seals(turn, closed, by.hash, hashes) if sealed else ()
            add_own_statements(turn, group, [closed, *parts])
            ended = closed.hash
        return ended

    return admin.perform(act)


def spare(admin: Device, group: GroupId, closed: Hash, keep: Iterable[Hash]) -> None:
    """Add a seal to an end: what it names stays as well."""

    def act(turn: Turn) -> None:
        state = turn.state(group)
        by = state.grant_for(turn.me.user.id, Role.ADMIN)
        assert by is not None
        signed, _ = state.forms[closed]
        add_own_statements(turn, group, list(_seals(turn, signed, by.hash, sorted(keep))))

    admin.perform(act)


def _seals(turn: Turn, closed: Signed, under: Hash, hashes: list[Hash]) -> Iterator[Signed]:
    root = seal_root(hashes).hex()
    stamp = max(turn.now.wall_ms, closed.modified + 1)
    size = limits.SEAL_PART_HASHES
    for part, start in enumerate(range(0, len(hashes), size)):
        names = [each.hex() for each in hashes[start : start + size]]
        form = Seal(under.hex(), closed.hash.hex(), len(hashes), root, part, names)
        yield sign_statement(turn, closed.group, SEAL_TYPE, form, stamp)


def give(device: Device, *records: Signed) -> None:
    """Have a device hold records as if it had received them."""

    def act(turn: Turn) -> None:
        merge(turn, records[0].group, records, DeviceId(records[0].device))

    device.tampered = True
    device.perform(act)


def pass_on(source: Device, target: Device, records: Sequence[Record]) -> None:
    """Give a device live records of another's."""
    group, ids = records[0].group, [record.id for record in records]
    give(target, *source.read(lambda snapshot: snapshot.live(group, ids)).values())


def hand_over(source: Device, target: Device, group: GroupId) -> None:
    """Give a device another's statements, all in one turn."""
    statements = source.perform(lambda turn: turn.statements(group))
    target.perform(lambda turn: add_own_statements(turn, group, statements))


def three() -> Family:
    """Ana founded it; behind her back, ben writes what cleo gets."""
    world = World()
    group, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    return world, group, ana, ben, cleo


def apart(world: World, ana: Device, others: Sequence[Device]) -> None:
    world.partition({ana}, set(others))
    world.run(1_000)


def together(world: World, ben: Device) -> None:
    """Everybody but ben, who has nothing to say any more."""
    ben.go_offline()
    world.heal()
    world.settle()


def aside(device: Device, group: GroupId) -> list[SetAside]:
    return device.read(lambda snapshot: snapshot.quarantined(group, 1_000))


def told(device: Device, group: GroupId, record_id: RecordId) -> list[LoggedChange]:
    return [each for each in device.changes(group) if each.record.id == record_id]


def conflicts(device: Device, group: GroupId) -> list[Hash]:
    return device.read(lambda snapshot: snapshot.unseen_hashes(group))


def stored(device: Device, record: Record) -> Signed:
    found = device.read(lambda snapshot: snapshot.get(record.group, record.id))
    assert found is not None
    assert found.hash == record.hash
    return found


def waits(device: Device) -> bool:
    """Whether anybody is queued to be judged."""
    return device.read(lambda snapshot: snapshot.next_judging()) is not None
