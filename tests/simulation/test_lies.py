"""What a liar says of its own accord is really said, and harms nobody but itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from peerstack import limits
from peerstack.engine.events import BoxSignalled
from peerstack.errors import Reason
from peerstack.ids import GroupId
from peerstack.reconcile.fingerprint import Fingerprint, Item
from peerstack.reconcile.wire import Compare, Differ, Holds, Leaf
from peerstack.reconcile.wire import Message as RangesMessage
from peerstack.session.wire import (
    Ack,
    Batch,
    Compared,
    Groups,
    Hello,
    Kind,
    Level,
    Message,
    Proof,
    Ranges,
    Refused,
    Served,
    Unproven,
    Want,
    encode,
)
from peerstack.testing import rooms as server
from peerstack.testing.conditions import CALM
from peerstack.testing.device import Device
from peerstack.testing.invariants import decoded
from peerstack.testing.liar import HABITS, Liar, Lie
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of, live

MINUTE_MS = 60_000
ROUNDS = 12
MANY = 150
"""More than one leaf of a comparison takes."""

ONE = Fingerprint(1, bytes(16))
SAID: tuple[Message, ...] = (
    Groups((b"\1" * 16, b"\2" * 16)),
    Level(0, ONE, ONE),
    Unproven(0),
    Refused(0, "expired"),
    Ranges(0, Kind.RECORDS, RangesMessage(b"", (Compare(None, ONE),), last=True)),
    Ranges(0, Kind.RECORDS, RangesMessage(b"", (Leaf(b"a", b"n" * 8, True), Holds(None, 7)), True)),
    Ranges(0, Kind.RECORDS, RangesMessage(b"", (Differ(None, (Item(b"a", b""),), b""),), True)),
    Want(0, Kind.RECORDS, (b"key",)),
    Batch(0, Kind.RECORDS, 0, (b"body",), (b"signature",)),
    Served(0),
    Ack(0),
    Compared(0),
)


def liar_at(device: Device) -> Liar:
    return Liar(device.user, "tests", lambda: [], chance=0)


def lie_of(device: Device, lie: Lie, concerned: Callable[[Message | None], bool]) -> Counter[str]:
    """Have a device tell one lie whenever it can; how often it did, by the true message's kind."""
    told, lied = liar_at(device), Counter[str]()

    def tongue(_: str, data: bytes) -> Sequence[bytes]:
        message = decoded(data)
        said = lie(told, data) if concerned(message) else [data]
        if said != [data]:
            lied[type(message).__name__] += 1
        return said

    device.tongue = tongue
    return lied


def refused_by(*devices: Device) -> set[str]:
    """Why they hung up, and what else they counted."""
    hangups = {hangup.partition(":")[0] for each in devices for hangup in each.hangups}
    return hangups | {str(Reason(each)) for it in devices for each in it.engine.refusals()}


def meet_again(world: World, family: GroupId, honest: Device, liar: Device) -> None:
    """Both have what the other lacks, so that all of what peers say to each other is said."""
    liar.go_offline()
    honest.put_many(family, "note", [{"n": n} for n in range(MANY)])
    liar.put_many(family, "note", [{"liar": n} for n in range(3)])
    world.run(MINUTE_MS)
    liar.go_online()
    world.run(2 * MINUTE_MS)


@pytest.mark.parametrize("message", SAID, ids=lambda message: type(message).__name__)
def test_what_is_altered_is_a_message_of_the_same_kind_that_says_something_else(
    message: Message,
) -> None:
    told, data = liar_at(World().device("liar")), encode(message)
    said = {each for _ in range(100) for each in told._alters(data)} - {data}
    assert said
    assert {type(decoded(each)) for each in said} <= {type(message), type(None)}
    assert any(decoded(each) is not None for each in said)


def test_a_lie_about_a_range_is_about_what_is_in_it_and_how_much() -> None:
    told, data = liar_at(World().device("liar")), encode(SAID[4])
    said = [decoded(each) for _ in range(200) for each in told._alters(data)]
    ranges = [each for it in said if isinstance(it, Ranges) for each in it.message.ranges]
    assert {type(each).__name__ for each in ranges} == {
        "Skip",
        "Compare",
        "Leaf",
        "Differ",
        "Holds",
    }
    shown = [each.fingerprint for each in ranges if isinstance(each, Compare)]
    assert any(each.count != 1 and each.digest == ONE.digest for each in shown)
    assert any(each.digest != ONE.digest for each in shown)
    assert Holds(None, limits.INTEGER_MAX) in ranges


@pytest.mark.parametrize(
    ("kind", "refusals"),
    [
        (Groups, set()),
        (Ranges, {"malformed", "wrong-group", "timeout", "unexpected"}),
        (Served, {"wrong-group"}),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_whatever_a_liar_alters_others_are_level_meanwhile(kind: type, refusals: set[str]) -> None:
    world = World(f"alters {kind.__name__}")
    family, (ana, ben, liar) = family_of(world, "ana", "ben", "liar")
    lied = lie_of(liar, Liar._alters, lambda message: isinstance(message, kind))
    for n in range(ROUNDS):
        meet_again(world, family, (ana, ben)[n % 2], liar)
        assert live(ana, family) == live(ben, family)
    assert set(lied) == {kind.__name__}
    assert lied[kind.__name__] >= ROUNDS
    assert refused_by(ana, ben) >= refusals
    liar.go_offline()
    world.settle()
    assert_level(family, [ana, ben])


def is_of_statements(message: Message | None) -> bool:
    return isinstance(message, Batch) and message.kind is Kind.STATEMENTS


def test_by_what_a_liar_forges_of_statements_nobody_has_another_role() -> None:
    world = World("forges statements")
    family, (ana, ben, liar) = family_of(world, "ana", "ben", "liar")
    forged = lie_of(liar, Liar._forges, is_of_statements)
    for n in range(10):
        world.device(f"cy {n}").join(ana.invite(family, "reader"))
        world.run(MINUTE_MS)
        world.devices[f"cy {n}"].go_offline()
        liar.restart()
        world.run(MINUTE_MS)
    assert forged["Batch"] > 5
    assert refused_by(ana, ben) & {"malformed", "bad-signature", "bad-proof", "does-not-stand"}
    liar.go_offline()
    world.settle()
    assert_level(family, [ana, ben])
    roles = [role.name for role in ana.members(family).values()]
    assert Counter(roles) == {"ADMIN": 1, "WRITER": 2, "READER": 10}


# --- Habits. --------------------------------------------------------------------------------------


def is_behind_the_beginning(message: Message | None) -> bool:
    return not isinstance(message, Hello | Proof | Groups)


@pytest.mark.parametrize("count", [3, 500])
@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.__name__)
def test_a_liars_habit_keeps_no_honest_device_from_another(habit: Lie, count: int) -> None:
    world = World(f"{habit.__name__} {count}")
    family, (ana, ben, liar) = family_of(world, "ana", "ben", "liar")
    ana.put_many(family, "note", [{"n": n} for n in range(count)])
    world.settle()
    lied = lie_of(liar, habit, is_behind_the_beginning)
    for n in range(10):
        notes = [device.put(family, "note", {"n": n}) for device in (ana, ben)]
        ben.restart()
        world.run(MINUTE_MS)
        for note in notes:
            assert ana.get(family, note.id) == ben.get(family, note.id) == note
    assert lied["Ranges"] > 5
    if habit is not Liar._asks_for_ever:
        assert refused_by(ana, ben) >= {"timeout"}, "who gives nothing of what it owes"
    liar.go_offline()
    world.settle()
    assert_level(family, [ana, ben])


def test_who_asks_for_ever_is_answered_in_turns_of_which_each_comparison_has_a_bound() -> None:
    world = World("asks for ever 3")  # Here ana leads: who follows ends nothing.
    family, (ana, liar) = family_of(world, "ana", "liar")
    lie_of(liar, Liar._asks_for_ever, is_behind_the_beginning)
    since = len(world.sent)
    meet_again(world, family, ana, liar)
    kinds = [each.kind for each in world.sent[since:] if each.sender == "ana"]
    runs = "".join("r" if kind == "Ranges" else " " for kind in kinds).split()
    assert 0 <= max(map(len, runs)) - limits.RECONCILE_TURNS <= 2
    assert refused_by(ana) == {"timeout"}
    liar.tongue = None
    world.settle()
    assert_level(family, [ana, liar])


def test_a_liar_takes_to_a_habit_and_leaves_it_with_the_connection() -> None:
    liar = World().device("liar")
    told = Liar(liar.user, "habits", lambda: [], chance=1.0)
    hello = encode(Hello((1,), bytes(32), liar.user.id, liar.user.device, bytes(32), (), ()))
    for _ in range(500):
        told("ana", encode(Compared(0)))
    had = {habit.__name__: told.told[habit.__name__] for habit in HABITS}
    assert any(had.values())
    told("ana", hello)
    assert "ana" not in told._habits


# --- The server. ----------------------------------------------------------------------------------


def test_a_server_tells_every_lie_of_boxes_and_devices_come_level_all_the_same() -> None:
    world = World("lying server")
    family, devices = family_of(world, "ana", "ben", "cy")
    world.conditions = replace(CALM, false_signal_chance=0.5)
    for n in range(40):
        for device in devices[1:]:
            device.restart()
        note = devices[0].put(family, "note", {"n": n})
        world.run(MINUTE_MS)
    assert set(world.server.told) == {lie.__name__ for lie in server.LIES}
    assert refused_by(*devices) >= {"oversize", "bad-proof", "unexpected", "unknown-device"}
    world.conditions = CALM
    world.settle()
    assert_level(family, devices)
    assert devices[-1].get(family, note.id) == note


@pytest.mark.parametrize("lie", server.LIES, ids=lambda lie: lie.__name__)
def test_a_lie_of_a_box_brings_something_else_than_was_sent(lie: server.Lie) -> None:
    rooms = World("boxes").server
    for n in range(3):
        rooms._old_boxes.append(b"old %d" % n)
        rooms.announced["ana", b"topic %d" % n] += 1
        rooms._connections[f"address-{n}"] = server._Connection(World().device("ana"), "")
    true = BoxSignalled(server.URL, b"sealed", "address-x")
    assert list(lie(rooms, true)) != [true]


def test_a_server_that_denies_ignores_and_misdates_keeps_devices_apart_for_a_while_only() -> None:
    world = World("false words")
    family, (ana, ben) = family_of(world, "ana", "ben")
    world.conditions = replace(CALM, false_word_chance=0.5)
    for n in range(20):
        ben.go_offline()
        note = ana.put(family, "note", {"n": n})
        ben.go_online()
        world.run_until(lambda note=note: ben.get(family, note.id) == note)  # type: ignore[misc]
    assert set(world.server.told) == {"_denies", "_ignores", "_misdates"}
    world.conditions = CALM
    world.settle()
    assert_level(family, [ana, ben])
