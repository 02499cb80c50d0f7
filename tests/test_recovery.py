"""Taking a user back: what counts afterwards, what does not, and that nothing is signed again."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack import limits
from peerstack.errors import InvalidPhrase, InvalidValue, NotAllowed, NotFound, Reason
from peerstack.groups.membership import GroupState
from peerstack.groups.rules import Admitted, RecordVerdict, Refused, judge_record
from peerstack.identity import (
    REVOKE_TYPE,
    Device,
    Identity,
    Revocation,
    User,
    kit_key_of,
    read_identity,
    recovered,
)
from peerstack.ids import DeviceId
from peerstack.keys import KEY_BYTES, Hash, Secret, Signer
from peerstack.record import Signed
from peerstack.testing.ports import SeededEntropy
from tests.groups.folding import fold
from tests.people import NOW, T0, Person, person, signer

ANA = person("ana")
LAPTOP = ANA.user.device
PHONE = ANA.at_new_device("phone", T0 + 20)
KNOWN = PHONE.user.statements


def taken_back(
    statements: Sequence[Signed] = KNOWN,
    *,
    revoke: Iterable[DeviceId] = (),
    keep: Iterable[DeviceId] | None = None,
    seed: Secret | None = None,
    now_ms: int = NOW,
    entropy: str = "recovery",
) -> User:
    return recovered(
        seed or ANA.recovery,
        statements,
        "new laptop",
        now_ms,
        SeededEntropy(entropy),
        revoke=list(revoke),
        keep=None if keep is None else list(keep),
    )


def read(*statements: Signed) -> Identity:
    """What others read: everything admitted by the rules, in whatever order."""
    device = fold(ANA.id, statements)
    assert not device.held
    assert not device.refused
    return device.state.identities[ANA.id]


def by_thief(type_name: str, modified: int, form: Revocation) -> Signed:
    """A statement by the root key that every device had before the recovery."""
    return ANA.states_as_root(type_name, modified, form)


def revokes(device: DeviceId, modified: int, under: Hash | None = None) -> Signed:
    under = under or KNOWN[0].hash
    return by_thief(REVOKE_TYPE, modified, Revocation(under.hex(), device))


# --- Who one is afterwards. -----------------------------------------------------------------------


def test_the_same_user_has_new_keys_and_a_new_device() -> None:
    user = taken_back()
    identity = read(*user.statements)

    assert (user.id, user.name) == (ANA.id, "ana")
    assert user.root is not None
    assert user.root.public == identity.root == Signer(ANA.recovery).public
    assert identity.devices[user.device].key == user.device_key.public
    assert identity.devices[user.device].name == "new laptop"
    assert set(identity.devices) == {LAPTOP, PHONE.user.device, user.device}


def test_the_phrase_is_another_one_and_opens_the_next_kit() -> None:
    user = taken_back()

    assert user.recovery not in (None, ANA.recovery)
    assert user.recovery is not None
    assert user.kit_key == kit_key_of(user.recovery) != ANA.user.kit_key
    again = taken_back(user.statements, seed=user.recovery)
    assert read(*again.statements).root == Signer(user.recovery).public


def test_nothing_that_was_signed_before_is_signed_again() -> None:
    user = taken_back(revoke=[LAPTOP])

    assert user.statements[: len(KNOWN)] == KNOWN
    made = user.statements[len(KNOWN) :]
    assert [each.type for each in made] == ["$rotate", "$device", "$revoke"]


def test_stamps_are_later_than_what_they_stand_under_whatever_the_clock_says() -> None:
    early = taken_back(now_ms=T0 - 1_000_000)
    rotation = early.statements[len(KNOWN)]

    assert rotation.modified > KNOWN[0].modified
    assert read(*early.statements).devices[early.device].since_ms > rotation.modified
    again = taken_back(early.statements, seed=early.recovery, now_ms=0)
    assert again.statements[len(early.statements)].modified > rotation.modified


def test_secrets_do_not_show() -> None:
    user = taken_back()

    assert user.root is not None
    for secret in (user.root.seed, user.recovery, user.kit_key):
        assert secret is not None
        assert secret.hex() not in repr(user)
        assert not any(secret.hex().encode() in each.body for each in user.statements)


# --- What a thief of a device can do. -------------------------------------------------------------


def test_what_a_thief_certifies_with_the_old_root_key_does_not_count() -> None:
    user = taken_back()
    evil = ANA.at_new_device("evil", NOW - 1).user.statements[-1]

    identity = read(*user.statements, evil)

    assert len(identity.certified) == 4
    assert len(identity.devices) == 3


def test_what_a_thief_revokes_with_the_old_root_key_goes_on() -> None:
    user = taken_back()
    ended = revokes(PHONE.user.device, T0 + 30)

    assert read(*KNOWN, ended).devices[PHONE.user.device].end_ms == T0 + 30
    assert read(*user.statements, ended).devices[PHONE.user.device].end_ms is None


def test_a_thief_cannot_rotate_back() -> None:
    """The root key of the time before is bound to no next one but that of the phrase."""
    user = taken_back()
    with pytest.raises(InvalidPhrase):
        taken_back(seed=ANA.root.seed)
    with pytest.raises(InvalidPhrase):
        taken_back(user.statements, seed=ANA.root.seed)


def test_a_device_that_is_revoked_ends_and_keeps_what_it_wrote() -> None:
    user = taken_back(revoke=[LAPTOP])

    device = read(*user.statements).devices[LAPTOP]

    assert device.end_ms == NOW
    assert device.since_ms == T0 + 1


def test_devices_that_are_not_kept_count_for_nothing() -> None:
    user = taken_back(keep=[PHONE.user.device])

    assert set(read(*user.statements).devices) == {PHONE.user.device, user.device}


def test_a_device_that_is_revoked_is_kept_whatever_else_is() -> None:
    user = taken_back(keep=[], revoke=[LAPTOP])

    assert set(read(*user.statements).devices) == {LAPTOP, user.device}


def test_a_device_that_had_ended_keeps_its_very_end() -> None:
    """Else what was signed between that end and the recovery would be admitted by it."""
    ended = revokes(PHONE.user.device, T0 + 30)
    user = taken_back([*KNOWN, ended])
    again = taken_back([*KNOWN, ended], revoke=[PHONE.user.device])

    for each in (user, again):
        device = read(*each.statements).devices[PHONE.user.device]
        assert device.end_ms == T0 + 30
        assert ended.hash not in device.ends


def many_devices(count: int) -> list[Signed]:
    keys = [signer(f"device {number}") for number in range(count)]
    return [ANA.certifies(T0 + 100 + n, key=key) for n, key in enumerate(keys)]


def test_more_devices_than_a_rotation_can_name_are_kept_all_the_same() -> None:
    certificates = many_devices(limits.ROTATION_KEEPS + 4)
    ended = revokes(DeviceId(certificates[0].value["device"]), T0 + 500)
    user = taken_back([*KNOWN, *certificates, ended])
    wrong = [revokes(DeviceId(each.value["device"]), T0 + 600) for each in certificates]

    identity = read(*user.statements, *wrong)

    assert len(identity.devices) == len(certificates) + 3
    ends = {each.id: each.end_ms for each in identity.devices.values() if each.end_ms is not None}
    assert ends == {certificates[0].value["device"]: T0 + 500}


# --- What cannot be done. -------------------------------------------------------------------------


def test_the_wrong_phrase_makes_nothing() -> None:
    with pytest.raises(InvalidPhrase):
        taken_back(seed=person("bo").recovery)


def test_a_used_phrase_makes_nothing_where_its_use_is_known() -> None:
    with pytest.raises(InvalidPhrase, match="used before"):
        taken_back(taken_back().statements)


def test_a_device_that_is_not_known_is_named() -> None:
    for wanted in ({"revoke": [DeviceId("X")]}, {"keep": [DeviceId("X")]}):
        with pytest.raises(NotFound, match="no device X"):
            taken_back(revoke=wanted.get("revoke", ()), keep=wanted.get("keep"))


def test_a_name_that_nobody_could_read_is_refused() -> None:
    with pytest.raises(InvalidValue):
        recovered(ANA.recovery, KNOWN, "", NOW, SeededEntropy("x"))


def test_statements_without_a_beginning_are_nobody() -> None:
    with pytest.raises(NotFound):
        taken_back(KNOWN[1:])


def test_two_recoveries_with_one_phrase_are_a_fork_that_undoes_both() -> None:
    one, other = taken_back(entropy="one"), taken_back(entropy="other")
    identity = read(*one.statements, *other.statements[len(KNOWN) :])

    assert identity.forked
    assert set(identity.devices) == {LAPTOP, PHONE.user.device}
    assert identity.root == ANA.root.public
    both = [*one.statements, *other.statements[len(KNOWN) :]]
    with pytest.raises(NotAllowed, match="recovered twice"):
        taken_back(both)
    with pytest.raises(NotAllowed, match="recovered twice"):
        one.sign_revocation(identity, LAPTOP, NOW, SeededEntropy("x"))


# --- With the root key. ---------------------------------------------------------------------------


def test_new_statements_stand_under_the_latest_rotation() -> None:
    user = taken_back()
    identity = read(*user.statements)
    tablet = signer("tablet").public
    entropy = SeededEntropy("root")
    certificate = user.sign_certificate(identity, tablet, "tablet", NOW + 10, entropy)
    ended = user.sign_revocation(identity, LAPTOP, NOW + 20, entropy)

    after = read(*user.statements, certificate, ended)

    assert after.devices[certificate.value["device"]].key == tablet
    assert after.devices[LAPTOP].end_ms == NOW + 20
    assert certificate.value["under"] == ended.value["under"] == identity.head.hex()


def test_without_the_present_root_key_nothing_is_signed() -> None:
    identity = read(*taken_back().statements)
    linked = replace(ANA.user, root=None)
    for user, told in ((linked, "without the root key"), (ANA.user, "on which you recovered")):
        with pytest.raises(NotAllowed, match=told):
            user.sign_revocation(identity, LAPTOP, NOW, SeededEntropy("x"))
        with pytest.raises(NotAllowed, match=told):
            user.sign_certificate(identity, ANA.root.public, "x", NOW, SeededEntropy("x"))


def test_a_rotation_takes_the_seed_which_goes_when_it_is_confirmed() -> None:
    identity, entropy = read(*KNOWN), SeededEntropy("rotate")
    next_key = Signer(entropy.draw(KEY_BYTES)).public
    rotation = ANA.user.sign_rotation(identity, next_key, [KNOWN[1].hash], NOW, entropy)

    assert set(read(*KNOWN, rotation).devices) == {LAPTOP}
    confirmed = replace(ANA.user, recovery=None)
    with pytest.raises(NotAllowed, match="recover with your phrase"):
        confirmed.sign_rotation(identity, next_key, [], NOW, entropy)


# --- Devices that the recovery did not know. ------------------------------------------------------


def kept_later(user: User, device: Device, *, thief_revokes: bool) -> Identity:
    """After a recovery from a kit that did not know the phone, the phone is certified again."""
    known = [*user.statements, KNOWN[-1]]
    if thief_revokes:
        known.append(revokes(device.id, device.since_ms + 1))
    identity = read(*known)
    assert device.id not in identity.devices
    again = user.sign_certificate(
        identity, device.key, device.name, device.since_ms, SeededEntropy("again")
    )
    return read(*known, again)


@pytest.mark.parametrize("thief_revokes", [False, True])
def test_a_device_is_the_same_device_under_a_later_root_key(thief_revokes: bool) -> None:
    """A later root key that certifies it stands above what an older one, maybe stolen, revokes."""
    phone = read(*KNOWN).devices[PHONE.user.device]
    user = taken_back(KNOWN[:2])

    found = kept_later(user, phone, thief_revokes=thief_revokes).devices[phone.id]

    assert (found.key, found.since_ms, found.end_ms) == (phone.key, phone.since_ms, None)


def test_the_present_root_key_revokes_what_it_has_certified_again() -> None:
    phone = read(*KNOWN).devices[PHONE.user.device]
    user = taken_back(KNOWN[:2])
    identity = kept_later(user, phone, thief_revokes=False)
    entropy = SeededEntropy("x")
    again = user.sign_certificate(identity, phone.key, "phone", phone.since_ms, entropy)
    ended = user.sign_revocation(identity, phone.id, NOW + 9, entropy)

    assert read(*user.statements, KNOWN[-1], again, ended).devices[phone.id].end_ms == NOW + 9


# --- In a group, with a thief in it. --------------------------------------------------------------


FOUNDING = ANA.founds(T0 + 50)
FAMILY = FOUNDING.group


def in_family(*statements: Signed) -> GroupState:
    device = fold(FAMILY, [FOUNDING, *statements])
    assert not device.held
    assert not device.refused
    return device.state


def test_what_a_revoked_copy_signs_afterwards_is_refused_whatever_it_certifies() -> None:
    user = taken_back(revoke=[LAPTOP])
    evil = ANA.at_new_device("evil", NOW - 1)
    state = in_family(*user.statements, evil.user.statements[-1])
    new = replace(ANA, user=user)

    def verdict(by: Person, modified: int) -> RecordVerdict:
        return judge_record(state, by.writes(FAMILY, modified), NOW + 60_000)

    assert verdict(ANA, NOW - 1) == Admitted()
    assert verdict(ANA, NOW + 1) == Refused(Reason.DEVICE_ENDED)
    for modified in (NOW, NOW + 1):
        assert verdict(evil, modified) == Refused(Reason.DEVICE_ENDED)
    assert verdict(PHONE, NOW + 1) == Admitted()
    assert verdict(new, NOW + 2) == Admitted()


def test_nobody_comes_in_by_a_revoked_copy() -> None:
    """Its statements are admitted, as all are that name what is here, and have no effect."""
    user = taken_back(revoke=[LAPTOP])
    invite = ANA.invites(FOUNDING, NOW + 10)
    puppet = person("puppet")
    join = puppet.joins(invite, NOW + 20)
    admit = ANA.admits(FOUNDING, join, NOW + 30)

    state = in_family(*user.statements, invite, *puppet.user.statements, join, admit)

    assert set(state.members()) == {ANA.id}


# --- The same statements, the same answer. --------------------------------------------------------


def _everything() -> list[Signed]:
    user = taken_back(KNOWN, revoke=[LAPTOP])
    evil = ANA.at_new_device("evil", NOW - 1).user.statements[-1]
    assert user.recovery is not None
    again = taken_back(user.statements, seed=user.recovery, now_ms=NOW + 50, entropy="again")
    return [*again.statements, evil, revokes(PHONE.user.device, T0 + 30)]


EVERYTHING = _everything()


@given(st.permutations(EVERYTHING))
def test_the_order_of_arrival_does_not_matter(arriving: list[Signed]) -> None:
    assert read(*arriving) == read_identity(EVERYTHING)


def test_the_last_of_two_recoveries_counts() -> None:
    identity = read(*EVERYTHING)

    assert len(identity.devices) == 4
    assert identity.devices[LAPTOP].end_ms == NOW
    assert identity.devices[PHONE.user.device].end_ms is None
    assert not identity.forked
    assert len(set(itertools.chain(identity.devices, identity.certified))) == 5


def test_records_are_signed_by_devices_and_stay_as_they_are() -> None:
    note = PHONE.writes(ANA.id)
    before = read(*KNOWN).devices[PHONE.user.device]
    after = read(*EVERYTHING).devices[PHONE.user.device]

    assert note.signature_check(before.key).holds()
    assert note.signature_check(after.key).holds()
