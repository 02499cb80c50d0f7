"""What waits in the store is gone on with, whichever process began it, and whatever failed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest

from peerstack import limits
from peerstack.engine import Engine, Turn, ending, statements
from peerstack.engine.events import StoreChanged
from peerstack.engine.revoking import revoke_device
from peerstack.engine.statements import StatementsArrival
from peerstack.engine.writing import add_own_statements
from peerstack.errors import StoreFull
from peerstack.groups.statements import CLOSE_TYPE, INVITE_TYPE, JOIN_TYPE
from peerstack.ids import GroupId
from peerstack.record import Signed
from peerstack.store import Sender
from peerstack.testing.device import Device
from peerstack.testing.ports import SeededEntropy
from peerstack.testing.world import World
from tests.groups.test_large_groups import calls_of
from tests.people import T0, person
from tests.simulation.linking import link
from tests.simulation.people import family_of
from tests.simulation.scripted import NOTE, written_by

HOUR_MS = 3_600_000


def fail_to_commit(device: Device, patch: pytest.MonkeyPatch) -> list[None]:
    """Have no turn of a device be stored; one entry for each that was not."""
    failed: list[None] = []

    def fail() -> None:
        failed.append(None)
        raise StoreFull("no room left")

    patch.setattr(device.store._writer, "commit", fail)
    return failed


def end_is_sealed(device: Device, group: GroupId, ended: Device) -> bool:
    end = device.perform(
        lambda turn: turn.state(group).device_end(ended.user.id, ended.user.device)
    )
    return end is not None and end.sealed


# --- Turns that fail. -----------------------------------------------------------------------------


def give_held(device: Device, signed: Signed, until_ms: int) -> None:
    def act(turn: Turn) -> None:
        turn.tx.hold([signed], signed.device, turn.now.wall_ms, until_ms=until_ms)
        turn.held_anything = True

    device.perform(act)


def give_up_peers(device: Device) -> None:
    device._release(device.engine.abandon_peers(device.now()))


def test_what_was_held_until_a_time_is_released_though_the_first_turn_for_it_was_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    early = world.wall_ms + limits.FUTURE_MS + HOUR_MS
    signed = written_by(ben.user, family, NOTE, early, {"title": "tomorrow"})
    give_held(ana, signed, early - limits.FUTURE_MS)
    world.run(HOUR_MS - 1)
    with monkeypatch.context() as patch:
        failed = fail_to_commit(ana, patch)
        with pytest.raises(StoreFull):
            world.run(1)
        assert failed
    give_up_peers(ana)

    world.run(60_000)

    assert ana.get(family, signed.id) is not None


def test_a_seal_is_made_though_the_first_turn_for_it_was_not_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    laptop = link(world, ana)
    for device in (laptop, ben):
        device.go_offline()
    world.run(1_000)
    ben.put(family, "note", {"title": "Nobody has it yet"})
    ana.perform(lambda turn: revoke_device(turn, laptop.user.device, force=False))
    world.run(1_000)
    with monkeypatch.context() as patch:
        seal = ana.engine._seal

        def seal_and_fail(turn: Turn) -> None:
            before = len(turn.tx.statements(family))
            seal(turn)
            if len(turn.tx.statements(family)) > before:
                patch.undo()
                raise StoreFull("no room left")

        patch.setattr(ana.engine, "_seal", seal_and_fail)
        ben.go_online()
        with pytest.raises(StoreFull):
            world.settle()
    assert not end_is_sealed(ana, family, laptop)
    give_up_peers(ana)

    world.settle()

    assert end_is_sealed(ana, family, laptop)


# --- Other processes of the profile. --------------------------------------------------------------


def other_process(device: Device) -> Engine:
    """Another engine over a device's store, which has no network."""
    return Engine(device.store, device.user, SeededEntropy("other process"))


def test_an_end_that_another_process_heard_of_is_sealed_by_the_one_with_the_network() -> None:
    world = World()
    family, (ana, _) = family_of(world, "ana", "ben")
    laptop = link(world, ana)
    laptop.go_offline()
    world.run(1_000)

    other_process(ana).perform(
        lambda turn: revoke_device(turn, laptop.user.device, force=False), ana.now()
    )
    ana.handle(StoreChanged())
    world.settle()

    assert end_is_sealed(ana, family, laptop)


def test_what_another_process_added_releases_what_waited_for_it() -> None:
    world = World()
    family, (ana, ben) = family_of(world, "ana", "ben")
    cleo = world.device("cleo")
    ben.go_offline()
    cleo.join(ana.invite(family))
    world.settle()
    note = cleo.put(family, "note", {"title": "Hello"})
    signed = cleo.read(lambda snapshot: snapshot.get(family, note.id))
    assert signed is not None
    ben.perform(
        lambda turn: turn.tx.hold([signed], signed.device, turn.now.wall_ms, waits_for="statement")
    )
    theirs = ana.perform(lambda turn: turn.statements(family))

    # It ends before it could have anything checked.
    other_process(ben).perform(lambda turn: add_own_statements(turn, family, theirs), ben.now())
    ben.handle(StoreChanged())
    world.settle()

    assert ben.get(family, note.id) == note


# --- Statements that wait for others. -------------------------------------------------------------


def of_type(device: Device, group: GroupId, kind: str) -> list[Signed]:
    return device.perform(lambda turn: [s for s in turn.tx.statements(group) if s.type == kind])


MEMBER = Sender("01J8Z0000000000000000000AB", True)


def receive(device: Device, group: GroupId, items: Sequence[Signed]) -> StatementsArrival | None:
    return device.perform(lambda turn: statements.receive(turn, group, items, MEMBER))


def check(device: Device, arrival: StatementsArrival | None) -> None:
    """Answer the checks of an arrival, round by round: all of them hold."""
    while arrival is not None:
        arrival = device.perform(partial(all_hold, arrival))


def all_hold(arrival: StatementsArrival, turn: Turn) -> StatementsArrival | None:
    return statements.verified(turn, arrival, [True] * len(arrival.checks))


def apart_from_news(world: World) -> tuple[GroupId, Device, Device]:
    """Ana, and ben who is offline while two invites are made, one is used, and one ended."""
    family, (ana, ben) = family_of(world, "ana", "ben")
    ben.go_offline()
    cleo = world.device("cleo")
    ana.invite(family)
    world.run(10)
    cleo.join(ana.invite(family))
    world.settle()
    last_but_one = of_type(ana, family, INVITE_TYPE)[-2]
    ana.perform(lambda turn: ending.end_invite(turn, family, last_but_one.hash))
    ben.perform(lambda turn: turn.tx.add_statements(cleo.user.statements))
    return family, ana, ben


def test_what_a_statement_waits_for_may_come_elsewhere_while_others_with_it_are_checked() -> None:
    family, ana, ben = apart_from_news(World())
    join, close = of_type(ana, family, JOIN_TYPE)[-1], of_type(ana, family, CLOSE_TYPE)[-1]
    invite = of_type(ana, family, INVITE_TYPE)[-1]

    # Of one batch, the close can be checked, and is held for want of what it ends; the join waits.
    first = receive(ben, family, [join, close])
    assert first is not None
    check(ben, receive(ben, family, [invite]))
    check(ben, first)

    assert join in of_type(ben, family, JOIN_TYPE)
    assert close not in of_type(ben, family, CLOSE_TYPE)


def two_groups_and_a_join(world: World) -> tuple[GroupId, GroupId, Device, Device, Device]:
    """Cleo has come into two groups of ana's, behind ben's back, who knows the invites."""
    family, (ana, ben) = family_of(world, "ana", "ben")
    work = ana.create_group("Work")
    ben.join(ana.invite(work))
    links = [ana.invite(group) for group in (family, work)]
    world.settle()
    ben.go_offline()
    cleo = world.device("cleo")
    for each in links:
        cleo.join(each)
    world.settle()
    return family, work, ana, ben, cleo


def test_a_statement_is_admitted_once_its_signer_is_known_by_another_group() -> None:
    world = World()
    family, work, _, ben, cleo = two_groups_and_a_join(world)
    join, elsewhere = of_type(cleo, family, JOIN_TYPE)[-1], of_type(cleo, work, JOIN_TYPE)[-1]

    check(ben, receive(ben, family, [join]))
    assert join not in of_type(ben, family, JOIN_TYPE)
    check(ben, receive(ben, work, [*cleo.user.statements, elsewhere]))
    world.run(1_000)

    assert join in of_type(ben, family, JOIN_TYPE)


def test_a_statement_that_could_be_admitted_at_a_crash_is_admitted_after_it() -> None:
    world = World()
    family, work, ana, ben, cleo = two_groups_and_a_join(world)
    join, elsewhere = of_type(cleo, family, JOIN_TYPE)[-1], of_type(cleo, work, JOIN_TYPE)[-1]
    check(ben, receive(ben, family, [join]))
    arrival = receive(ben, work, [*cleo.user.statements, elsewhere])
    assert arrival is not None
    arrival = ben.perform(partial(all_hold, arrival))
    assert arrival is not None, "ids are derived last"
    # What the last turn wanted checked never is.
    for device in (ana, cleo):
        device.go_offline()
    ben.crash_after(1)
    ben.perform(partial(all_hold, arrival))

    ben.go_online()
    world.run(1_000)

    assert join in of_type(ben, family, JOIN_TYPE)


def chained(links: int) -> tuple[GroupId, list[Signed], list[Signed]]:
    """A grant under a grant under a grant..., from the last to the first; and who is in it."""
    ana = person("ana")
    founding = ana.founds(T0 + 100)
    said = [founding]
    for n in range(links):
        said.append(ana.grants(said[-1], ana.id, "admin", founding, T0 + 200 + n))
    return founding.group, list(ana.user.statements), said[::-1]


@pytest.mark.parametrize("newest_first", [False, True])
def test_each_statement_of_a_chain_is_judged_no_more_than_twice(*, newest_first: bool) -> None:
    """In whatever order it comes: what it costs grows with its length alone."""

    def calls(links: int) -> int:
        world = World()
        ben = world.device("ben")
        group, identity, said = chained(links)
        ben.perform(lambda turn: turn.add_group(group, 0))
        check(ben, receive(ben, group, [*identity, said[-1]]))
        arrival = receive(ben, group, said[:-1] if newest_first else said[-2::-1])
        assert arrival is not None
        holds = [True] * len(arrival.checks)
        made = calls_of(lambda: ben.perform(lambda turn: statements.verified(turn, arrival, holds)))
        assert len(of_type(ben, group, "$grant")) == links
        return made

    assert calls(200) < 2.5 * calls(100)
