"""Seals that are large, incomplete, false, or by who may not; and devices turned on each other."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

from peerstack import limits
from peerstack.errors import Reason
from peerstack.groups.membership import GroupState
from peerstack.groups.seals import NO_HASHES
from peerstack.groups.statements import CLOSE_TYPE, SEAL_TYPE, Close, Seal
from peerstack.identity import device_id
from peerstack.ids import DeviceId, compose
from peerstack.keys import sha256
from tests.groups import endings
from tests.groups.admins import (
    ANA,
    BO,
    CY,
    CYS,
    DI,
    DIS,
    ELI,
    ELIS,
    FLO,
    FLOS,
    FOUNDING,
    GROUP,
    JOIN,
    PEOPLE,
    STORY,
    everywhere,
    judged,
    known,
    state,
    verdict,
)
from tests.groups.samples import NOWHERE
from tests.people import T0, Person, signer

AT = T0 + 300
WROTE = [ELI.writes(GROUP, T0 + 200 + n, {"n": n}) for n in range(3)]
KEPT, UNSEEN, LATE = WROTE[0], WROTE[1], ELI.writes(GROUP, AT + 5)
REMOVAL = endings.closes(CY, CYS, ELIS, AT, [KEPT])
SEAL = endings.seals(CY, CYS, REMOVAL, AT + 1, [KEPT])
OUT = "quarantined"


def stays(now: GroupState) -> list[str]:
    return [judged(each, now) for each in (KEPT, UNSEEN, LATE)]


def test_a_seal_of_100_000_hashes_comes_in_bounded_parts_in_any_order() -> None:
    whole = sorted([KEPT.hash, *(sha256(n.to_bytes(4, "big")) for n in range(99_999))])
    removal = endings.closes_over(CY, CYS, ELIS, AT, whole)
    parts = list(endings.seals_over(CY, CYS, removal, AT + 1, whole))
    own = [*state().log.forms]

    assert len(parts) == 125
    assert max(len(each.body) for each in parts) < limits.BODY_BYTES
    before = state(removal)
    started = time.process_time()
    all_but_one = before.extended(parts[1:])
    first = stays(all_but_one)
    complete = all_but_one.extended(parts[:1])
    second = stays(complete)
    took_s = time.process_time() - started

    assert len(complete.forms) == len(own) + 1 + 125
    assert first == ["admitted", "admitted", Reason.NO_ROLE]
    assert second == ["admitted", OUT, Reason.NO_ROLE]
    assert took_s < 5, "it takes about 0.6 s"


def test_a_part_holds_no_more_than_a_body_does() -> None:
    hashes = ["00" * 32] * (limits.SEAL_PART_HASHES + 1)
    for count, expected in ((0, "admitted"), (1, Reason.MALFORMED)):
        form = Seal(
            CYS.hash.hex(), REMOVAL.hash.hex(), 9, NOWHERE, 0, hashes[: len(hashes) - 1 + count]
        )
        assert verdict(CY.states(GROUP, SEAL_TYPE, AT + 1, form), REMOVAL) == expected


def test_an_incomplete_seal_keeps_what_it_names_and_time_decides_on_the_rest() -> None:
    removal = endings.closes(CY, CYS, ELIS, AT, [KEPT, LATE])
    parts = list(
        endings.seals_over(CY, CYS, removal, AT + 1, endings.hashes([KEPT, LATE]), part_hashes=1)
    )
    names_late = next(each for each in parts if LATE.hash.hex() in each.value["hashes"])

    assert everywhere(stays, removal) == ["admitted", "admitted", Reason.NO_ROLE]
    assert everywhere(stays, removal, names_late) == ["admitted"] * 3
    assert everywhere(stays, removal, *parts) == ["admitted", OUT, "admitted"]


def test_seals_by_who_may_not_change_nothing() -> None:
    second = CY.grants(CYS, ELI.id, "reader", JOIN, T0 + 200)
    for by, under in ((ELI, ELIS), (ELI, second), (FLO, FLOS), (BO, CYS)):
        seal = endings.seals(by, under, REMOVAL, AT + 2, [UNSEEN, LATE])
        assert verdict(seal[0], second, REMOVAL) == Reason.DOES_NOT_STAND
    deposed = endings.closes(ANA, FOUNDING, DIS, T0 + 250)
    by_deposed = endings.seals(DI, DIS, REMOVAL, AT + 2, [UNSEEN, LATE])
    everything = (REMOVAL, *SEAL, deposed, *by_deposed)
    assert everywhere(stays, *everything) == [Reason.NO_ROLE] * 3, "Di let Eli in"
    kept = [DIS, ELIS]
    deposed = endings.closes(ANA, FOUNDING, DIS, T0 + 250, kept)
    seal = endings.seals(ANA, FOUNDING, deposed, T0 + 251, kept)
    expected = ["admitted", OUT, Reason.NO_ROLE]
    assert everywhere(stays, REMOVAL, *SEAL, deposed, *seal, *by_deposed) == expected


def test_no_admin_can_keep_anothers_seal_from_being_complete() -> None:
    """By parts that claim to be of the same seal, and hold something else."""
    value = SEAL[0].value | {"hashes": [sha256(b"junk").hex()], "part": 1}
    junk = DI.states(GROUP, SEAL_TYPE, AT + 1, Seal(**(value | {"under": DIS.hash.hex()})))

    assert everywhere(stays, REMOVAL, *SEAL, junk) == ["admitted", OUT, Reason.NO_ROLE]


def test_a_false_commitment_leaves_the_removal_unsealed() -> None:
    for count, root in ((0, NOWHERE), (2, NO_HASHES.hex()), (2**53 - 1, SEAL[0].value["root"])):
        form = Close(CYS.hash.hex(), ELIS.hash.hex(), count, root)
        removal = CY.states(GROUP, CLOSE_TYPE, AT, form)
        other = endings.seals(CY, CYS, removal, AT + 1, [KEPT])
        expected = ["admitted", "admitted", Reason.NO_ROLE]
        assert everywhere(stays, removal, *other) == expected


def test_an_end_of_what_is_not_there_yet_waits_for_it() -> None:
    let_in = DI.admits(DIS, JOIN, T0 + 190)
    end = endings.closes(CY, CYS, let_in, AT)
    seal = endings.seals(CY, CYS, end, AT + 1)[0]

    device = known(seal, end)
    assert [device.verdict(each) for each in (seal, end)] == ["held", "held"]
    device.receive(let_in)
    assert [device.verdict(each) for each in (seal, end)] == ["admitted"] * 2


# --- Devices of one user. -------------------------------------------------------------------------

PHONE, TABLET = ELI.at_new_device("phone", T0 + 145), ELI.at_new_device("tablet", T0 + 146)
LAPTOPS = ELI.user.statements[-1]
PHONES, TABLETS = (each.user.statements[-1] for each in (PHONE, TABLET))


def test_a_thief_who_revokes_the_other_devices_and_seals_nothing_is_undone_by_a_rotation() -> None:
    """The thief has the phone, with the root key in it; Eli has the words on paper."""
    record, by_thief = ELI.writes(GROUP, T0 + 220), PHONE.writes(GROUP, AT + 10)
    revokes = [endings.revokes(ELI, each.user.device, T0 + 2) for each in (ELI, TABLET)]
    seals = [endings.seals(PHONE, ELIS, revoke, AT, [])[0] for revoke in revokes]
    accomplice = ELI.at_new_device("accomplice", T0 + 147)
    new = accomplice.user.statements[-1]
    theft = (PHONES, TABLETS, new, *revokes, *seals)
    rotation = endings.rotates(ELI, AT + 20, [LAPTOPS, TABLETS])
    later = [
        endings.revokes(ELI, ELI.user.device, AT + 30),
        endings.seals(accomplice, ELIS, revokes[0], AT + 30, [])[0],
    ]

    def outcome(now: GroupState) -> list[str]:
        by_new = accomplice.writes(GROUP, AT + 11)
        return [judged(each, now) for each in (record, by_thief, by_new)]

    out, gone = Reason.NO_ROLE, Reason.DEVICE_ENDED
    assert everywhere(outcome, *theft) == [out] * 3, "the consent is by a device that ended"
    assert everywhere(outcome, *theft, rotation) == ["admitted", gone, gone]
    assert everywhere(outcome, *theft, rotation, *later) == ["admitted", gone, gone]


def test_a_device_that_is_revoked_seals_no_other_by_backdating() -> None:
    of_phone = endings.revokes(ELI, PHONE.user.device, AT)
    of_tablet = endings.revokes(ELI, TABLET.user.device, AT - 50)
    honest = endings.seals(ELI, ELIS, of_phone, AT + 1)
    backdated = endings.seals(PHONE, ELIS, of_tablet, AT - 49)
    record = TABLET.writes(GROUP, T0 + 220)

    everything = (PHONES, TABLETS, of_phone, of_tablet, *backdated)
    assert everywhere(lambda now: judged(record, now), *everything) == OUT
    assert everywhere(lambda now: judged(record, now), *everything, *honest) == "admitted"


def test_a_seal_may_arrive_before_the_certificate_of_the_device_that_it_is_about() -> None:
    """It was refused for good in that order, and admitted in the other."""
    of_phone = endings.revokes(ELI, PHONE.user.device, AT)
    seal = endings.seals(ELI, ELIS, of_phone, AT + 1)[0]
    of_nothing = endings.revokes(ELI, device_id(ELI.id, signer("?").public, T0), AT)
    also = endings.seals(ELI, ELIS, of_nothing, AT + 1)[0]

    for order in itertools.permutations((of_phone, seal, PHONES)):
        assert known(*order).verdict(seal) == "admitted"
    assert verdict(also, of_nothing) == "admitted"


def _device(number: int) -> Person:
    key, device = (
        signer(f"device {number}"),
        DeviceId(compose(T0 + 150, number.to_bytes(10, "big"))),
    )
    certificate = ELI.certifies(T0 + 150, device=device, key=key)
    statements = (*ELI.user.statements, certificate)
    return replace(
        ELI, user=replace(ELI.user, device=device, device_key=key, statements=statements)
    )


def test_very_many_devices_that_seal_each_other_are_read_all_the_same() -> None:
    """One after the other, from the last to the first: a recursion would go too deep."""
    count = 1_500
    devices = [_device(n) for n in range(count)]
    revokes = [endings.revokes(ELI, each.user.device, AT + 2 * n) for n, each in enumerate(devices)]
    seals = [
        endings.seals(devices[n + 1], ELIS, revokes[n], AT + 2 * n + 1)[0] for n in range(count - 1)
    ]
    certificates = [each.user.statements[-1] for each in devices]
    everything = [*PEOPLE, *STORY, *certificates, *revokes, *seals]
    now = GroupState.of(GROUP, everything)  # Not verified: each id would take 10 ms.

    started = time.process_time()
    assert len(now.effect.device_ends) == count
    assert time.process_time() - started < 5
    sealed = [now.device_end(ELI.id, each.user.device) for each in devices[-4:]]
    assert [end is not None and end.sealed for end in sealed] == [True, False, True, False]
