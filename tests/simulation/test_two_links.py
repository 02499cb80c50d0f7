"""What is under way with one peer belongs to its connection alone, and ends with it.

In the original, one buffer held the chunks of all connections, and kept them for ever.
"""

from __future__ import annotations

import gc
import weakref
from random import Random

from peerstack.ids import RecordId
from peerstack.keys import Hash
from peerstack.reconcile.fingerprint import DIGEST_BYTES, Fingerprint
from peerstack.reconcile.wire import Compare, Message
from peerstack.session.wire import Gap, Kind, Ranges, Want
from peerstack.testing.conditions import CALM, Conditions
from peerstack.testing.world import World
from tests.simulation.people import assert_level, family_of
from tests.simulation.scripted import NOTE, Scripted, member_at, secret_of, written_by

SLOW = Conditions(verify_ms=(1_000, 1_000))
DISTANT = Conditions(latency_ms=(200, 300), verify_ms=(50, 200), bytes_per_s=2_000)
"""What one peer brings takes minutes; another waits for one at most, and begins meanwhile."""
LARGE = 50_000


def test_batches_that_arrive_at_once_are_each_taken_as_their_senders() -> None:
    """Both sides count their batches from 0, and their channels."""
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    scripts = {}
    for device in (ben, cleo):
        device.go_offline()
        world.run(60_000)
        scripts[device] = Scripted(world, ana, device.user).shake_hands()
        scripts[device].name_groups(family, secret_of(device, family))
    world.conditions = SLOW

    given: dict[str, tuple[Hash, str]] = {}
    for number in range(3):
        for place, (device, script) in enumerate(scripts.items()):
            ids = [f"{NOTE[:-2]}{place}{2 * number + each}" for each in range(2)]
            now = world.wall_ms
            notes = [written_by(device.user, family, each, now, {"by": place}) for each in ids]
            script.gives(*notes, number=number)
            given |= {note.id: (note.hash, device.user.device) for note in notes}
    assert [script.acknowledged for script in scripts.values()] == [[], []]
    world.run(5_000)

    told = {each.record.id: each for each in ana.changes(family) if each.record.id in given}
    assert {one: (each.record.hash, each.origin) for one, each in told.items()} == given
    assert [script.acknowledged for script in scripts.values()] == [[0, 1, 2], [0, 1, 2]]


def test_devices_that_compare_and_fetch_at_once_each_get_what_they_lack() -> None:
    world = World()
    family, (ana, ben, cleo) = family_of(world, "ana", "ben", "cleo")
    world.conditions = DISTANT
    # More than is told as news, so that each compares with both others.
    for device in (ana, ben, cleo):
        values = [{"by": device.name, "number": number} for number in range(1_200)]
        device.put_many(family, "note", values)
    fetches = [peer.channels[family] for peer in ana.engine.peers.values()]
    assert len(fetches) == 2
    # Of each of the two, some has come and some has not: neither waits for the other.
    world.run_until(lambda: all(0 < each.stored_items < each.wanted_items for each in fetches))
    world.run(60_000)
    world.conditions = CALM
    world.settle()

    assert_level(family, [ana, ben, cleo])
    assert len(ana.find(family, "note")) == 3 * 1_200
    assert ana.engine.refusals() == {}


def test_nothing_is_left_of_what_was_under_way_with_a_peer_that_hung_up() -> None:
    world = World()
    family, ana, ben, script = member_at(world)
    noise = Random(1).randbytes(LARGE // 2)
    ana.put_many(family, "note", [{"n": n, "text": noise[n:].hex()} for n in range(30)])
    [(link, peer)] = ana.engine.peers.items()
    world.conditions = SLOW

    script.say(Want(0, Kind.RECORDS, (), (Gap(b"", None),)))
    compare = Compare(b"m", Fingerprint(1, bytes(DIGEST_BYTES)))
    script.say(Ranges(0, Kind.RECORDS, Message(b"", (compare,), last=False)))
    script.gives(written_by(ben.user, family, NOTE, world.wall_ms, {"title": "Milk"}))
    channel = peer.channels[family]
    assert channel._run is not None
    parts = [peer, channel, channel._run.reconciler, peer._servings[0]]
    left = [weakref.ref(part) for part in parts]
    assert ana.engine.queues.checks == 1
    del parts, peer, channel
    script.plug.end_it()
    world.run(500)

    assert link not in ana.engine.peers
    world.run(1_000)
    gc.collect()
    assert [each() for each in left] == [None] * len(left)
    assert ana.engine.queues.checks == 0
    # What had arrived whole was taken in all the same.
    assert ana.get(family, RecordId(NOTE)) is not None
