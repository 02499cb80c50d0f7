"""What a group costs that has many members, many of whom were removed.

The bounds are many times what it takes on two slow cores; what grows with the square of the group
passes them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

from peerstack.groups.membership import GroupState
from peerstack.groups.rules import judge_record
from peerstack.identity import Inception, device_id, next_key_hash, read_identity
from peerstack.identity.signing import (
    sign_certificate,
    sign_inception,
    sign_revocation,
    sign_rotation,
)
from peerstack.identity.statements import USER_TYPE
from peerstack.ids import DeviceId, GroupId, IdFactory, as_user, compose
from peerstack.keys import KEY_BYTES, Signer
from peerstack.record import Signed
from peerstack.testing.ports import SeededEntropy
from tests.groups import endings
from tests.people import NOW, T0, Person, person, signer

T = TypeVar("T")

MEMBERS, REMOVED = 1_000, 200
AT = T0 + 100_000


def _somebody(number: int) -> Person:
    """With ids that nobody could derive: it would take 10 ms for each."""
    who, tail = person("somebody"), number.to_bytes(10, "big")
    root, key = signer(f"root {number}"), signer(f"device {number}")
    user = replace(
        who.user,
        id=as_user(compose(T0, tail)),
        device=DeviceId(compose(T0 + 1, tail)),
        root=root,
        device_key=key,
    )
    who = Person(user, IdFactory(SeededEntropy(f"ids {number}")))
    form = Inception(root.public.hex(), next_key_hash(root.public).hex(), f"member {number}")
    inception = who.states_as_root(USER_TYPE, T0, form)
    certificate = who.certifies(T0 + 1, under=inception.hash, device=user.device)
    return replace(who, user=replace(user, statements=(inception, certificate)))


def _group() -> tuple[list[Person], Signed, list[Signed]]:
    """Everybody was let in by somebody else, and every fifth was removed, with a seal."""
    people = [_somebody(number) for number in range(MEMBERS)]
    founder = people[0]
    founding = founder.founds(T0 + 100)
    invite = founder.invites(founding, T0 + 110)
    said, grants = [founding, invite], [founding]
    for number, who in enumerate(people[1:], start=1):
        join = who.joins(invite, T0 + 200 + number)
        by = number // 2
        grants.append(people[by].admits(grants[by], join, T0 + 2_000 + number))
        said += [join, grants[-1]]
    for number in range(MEMBERS - REMOVED, MEMBERS):
        wrote = [people[number].writes(founding.group, AT - 10 + n) for n in range(3)]
        close = endings.closes(founder, founding, grants[number], AT, wrote)
        said += [close, *endings.seals(founder, founding, close, AT + 1, wrote)]
    identities = [each for who in people for each in who.user.statements]
    return people, founding, [*identities, *said]


def took_ms(what: Callable[[], T]) -> tuple[T, float]:
    started = time.process_time()
    result = what()
    return result, (time.process_time() - started) * 1_000


def test_a_group_of_1_000_with_200_removed_is_read_and_judged_at_a_cost_that_grows_with_it() -> (
    None
):
    people, founding, said = _group()
    group = founding.group

    state, reading_ms = took_ms(lambda: GroupState.of(group, said))
    members, effect_ms = took_ms(state.members)
    one_more = people[1].consents(group, AT + 5)
    again, again_ms = took_ms(lambda: GroupState.of(group, [*said, one_more], state))
    _, effect_again_ms = took_ms(lambda: again.effect)
    records = [who.writes(group, AT - 1) for who in people]
    verdicts, judging_ms = took_ms(lambda: [judge_record(state, each, NOW) for each in records])
    rights, rights_ms = took_ms(lambda: [again.rights(who.id) for who in people])

    assert len(members) == MEMBERS - REMOVED
    assert len(verdicts) == len(rights) == MEMBERS
    assert reading_ms < 2_000, "it takes about 110"
    assert effect_ms < 1_000, "it takes about 30"
    assert again_ms < 500, "it takes about 8"
    assert effect_again_ms < 500, "it takes about 15"
    assert judging_ms < 40, "it takes about 3; all grants looked through for each record, 60"
    assert rights_ms < 80, "it takes about 5"


def test_a_user_of_many_root_keys_certificates_and_revocations_is_read_at_once() -> None:
    """Anybody may make as many, and shows them to all whose groups they are or were invited to."""
    entropy = SeededEntropy("many keys")
    roots = [Signer(entropy.draw(KEY_BYTES)) for _ in range(302)]
    key = Signer(entropy.draw(KEY_BYTES)).public
    inception = sign_inception(roots[0], roots[1].public, "Mallory", AT)
    user, under = inception.signer, inception.hash
    device = device_id(user, key, AT + 1)
    said = [inception]
    for number, (root, next_root) in enumerate(pairwise(roots[1:]), 1):
        for_user = roots[0], user, inception.hash
        said.append(sign_certificate(*for_user, key, f"name {number}", AT + 1, entropy))
        said.append(sign_revocation(*for_user, device, AT + 1 + number, entropy))
        rotated = sign_rotation(root, user, under, next_root.public, [], AT + number, entropy)
        said.append(rotated)
        under = rotated.hash
    said.append(sign_certificate(roots[-2], user, under, key, "last", AT + 1, entropy))

    identity, reading_ms = took_ms(lambda: read_identity(said))

    assert identity is not None
    assert identity.head == under
    assert [(each.name, each.end_ms) for each in identity.devices.values()] == [("last", None)]
    assert reading_ms < 100, "it takes about 7; each looked at with each other, 540"


# --- Counted, not timed. --------------------------------------------------------------------------


def calls_of(action: Callable[[], object]) -> int:
    """How many functions of Python are called."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def came_and_went(times: int) -> tuple[GroupId, list[Signed]]:
    """One user who is let in again and again, and leaves after each time by the first grant."""
    ana, ben = person("ana"), person("ben")
    founding = ana.founds(T0 + 100)
    invite = ana.invites(founding, T0 + 110)
    said, first = [founding, invite], None
    for n in range(times):
        join = ben.joins(invite, T0 + 200 + 10 * n)
        admit = ana.admits(founding, join, T0 + 201 + 10 * n)
        first = first or admit
        leave = endings.leaves(ben, first, T0 + 202 + 10 * n)
        said += [join, admit, leave]
    return founding.group, [*ana.user.statements, *ben.user.statements, *said]


def test_what_leaves_cost_does_not_grow_with_their_number_times_that_of_grants() -> None:
    def calls(times: int) -> int:
        group, said = came_and_went(times)
        state = GroupState.of(group, said)
        return calls_of(lambda: state.effect)

    assert calls(200) < 2.5 * calls(100)
