"""Who a user is: the same statements, the same devices; nobody speaks for somebody else."""

from __future__ import annotations

import itertools
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack.errors import InvalidValue, Reason, RemoteError
from peerstack.identity import (
    REVOKE_TYPE,
    ROTATE_TYPE,
    USER_TYPE,
    Inception,
    Revocation,
    Rotation,
    User,
    identity_checks_untrusted,
    next_key_hash,
    read_identity,
)
from peerstack.ids import as_group, is_ulid, time_ms_of
from peerstack.keys import Signer
from peerstack.record import Signed, compose, decode_untrusted
from peerstack.testing.ports import SeededEntropy
from tests.groups.folding import Fold, fold
from tests.people import T0, Person, person, signer

ANA, MALLORY = person("ana"), person("mallory")
INCEPTION, CERTIFICATE = ANA.user.statements


def received(*statements: Signed) -> Fold:
    return fold(ANA.id, statements)


def spelled_otherwise(signed: Signed, key: Signer) -> Signed:
    """The same fields in other bytes, signed by the same key."""
    body = json.dumps(json.loads(signed.body), indent=1).encode()
    other = decode_untrusted(body, signed.signature)
    signature = b"\x01" + key.sign(signed.signature_check(b"").label, other.hash)
    return msgspec.structs.replace(other, signature=signature)


# --- A new user. ----------------------------------------------------------------------------------


def test_a_new_user_is_what_their_statements_say() -> None:
    identity = read_identity(received(*ANA.user.statements).admitted.values())

    assert identity is not None
    assert (identity.user, identity.name) == (ANA.id, "ana")
    assert identity.root == ANA.root.public
    device = identity.devices[ANA.user.device]
    assert (device.user, device.key) == (ANA.id, ANA.user.device_key.public)
    assert device.name == "ana's laptop"


def test_ids_of_a_new_user_hold_their_time() -> None:
    assert time_ms_of(ANA.id) == INCEPTION.modified == T0
    assert time_ms_of(ANA.user.device) == CERTIFICATE.modified
    assert is_ulid(ANA.id)
    assert is_ulid(ANA.user.device)


def test_a_user_made_of_other_entropy_is_another_user() -> None:
    one, other = (User.create("ana", "d", T0, SeededEntropy(seed)) for seed in ("1", "2"))

    assert one.id != other.id
    assert one.device != other.device


@pytest.mark.parametrize("name", ["", "x" * 129, "nul\0", "\ud800"])
def test_a_name_that_nobody_could_read_is_refused(name: str) -> None:
    for names in ((name, "device"), ("name", name)):
        with pytest.raises(InvalidValue):
            User.create(*names, now_ms=T0, entropy=SeededEntropy("x"))


@pytest.mark.parametrize("name", ["x", "x" * 128, "😀" * 128, "Ána ☕"])
def test_a_name_is_measured_in_code_points(name: str) -> None:
    made = User.create(name, name, T0, SeededEntropy("x"))

    assert fold(made.id, made.statements).held == {}
    assert fold(made.id, made.statements).refused == {}


def test_a_user_never_shows_a_secret() -> None:
    user = User.create("ana", "laptop", T0, SeededEntropy("secrets"))
    assert user.root
    assert user.recovery
    assert user.kit_key
    secrets = (user.root.seed, user.device_key.seed, user.recovery, user.kit_key)

    for shown, secret in itertools.product((repr(user), str(user), f"{user!r:>9}"), secrets):
        assert secret.hex() not in shown
        assert repr(bytes(secret)) not in shown
    for secret in secrets:
        assert not any(secret.hex().encode() in each.body for each in user.statements)


# --- Nobody speaks for somebody else. -------------------------------------------------------------


def test_nobody_claims_a_user_id_with_other_keys() -> None:
    """The problem of hijacked ids, which the original left open."""
    theirs = Inception(MALLORY.root.public.hex(), next_key_hash(signer("next").public).hex(), "ana")
    body = ANA.body(ANA.id, USER_TYPE, T0, msgspec.to_builtins(theirs), id=ANA.id)
    claim = compose(MALLORY.root, msgspec.structs.replace(body, device=msgspec.UNSET))

    device = received(claim, *ANA.user.statements)

    assert device.verdict(claim) == Reason.BAD_ID
    assert device.state.identities[ANA.id].root == ANA.root.public


@pytest.mark.parametrize("field", ["key", "next", "name"])
def test_a_user_id_is_good_for_one_key_next_key_and_name_only(field: str) -> None:
    value = INCEPTION.value | {field: MALLORY.user.statements[0].value[field]}
    body = ANA.body(ANA.id, USER_TYPE, T0, value, id=ANA.id, device=msgspec.UNSET)
    key = MALLORY.root if field == "key" else ANA.root
    changed = compose(key, body)

    assert received(changed).verdict(changed) == Reason.BAD_ID


def test_a_user_id_is_good_for_one_time_only() -> None:
    body = ANA.body(ANA.id, USER_TYPE, T0 + 1, INCEPTION.value, id=ANA.id, device=msgspec.UNSET)
    changed = compose(ANA.root, body)

    assert received(changed).verdict(changed) == Reason.BAD_ID


def test_a_device_that_somebody_else_certifies_is_no_device_of_the_user() -> None:
    forged = ANA.certifies(T0 + 9, root=MALLORY.root)

    device = received(*ANA.user.statements, forged)

    assert device.verdict(forged) == Reason.BAD_SIGNATURE
    assert list(device.state.identities[ANA.id].devices) == [ANA.user.device]


def test_a_certificate_made_under_an_inception_that_does_not_hold_is_held_for_ever() -> None:
    """Whoever asks `find` for it must find statements that were verified."""
    theirs = Inception(MALLORY.root.public.hex(), "00" * 32, "ana")
    body = ANA.body(ANA.id, USER_TYPE, T0, msgspec.to_builtins(theirs), id=ANA.id)
    claim = compose(MALLORY.root, msgspec.structs.replace(body, device=msgspec.UNSET))
    forged = ANA.certifies(T0 + 9, under=claim.hash, root=MALLORY.root)

    device = received(claim, *ANA.user.statements, forged)

    assert device.verdict(forged) == "held"


def test_a_device_id_belongs_to_one_user_and_one_key() -> None:
    """Else a member with a device of the same id would make others' edits look seen."""
    same_id = MALLORY.certifies(T0 + 1, device=ANA.user.device, key=MALLORY.user.device_key)
    same_key = MALLORY.certifies(T0 + 1, device=ANA.user.device, key=ANA.user.device_key)
    other_key = ANA.certifies(T0 + 1, device=ANA.user.device, key=signer("other"))
    earlier = ANA.certifies(T0 + 5, device=ANA.user.device)

    device = received(*MALLORY.user.statements, *ANA.user.statements)
    for claim in (same_id, same_key, other_key, earlier):
        device.receive(claim)
        assert device.verdict(claim) == Reason.BAD_ID


def test_a_thief_of_the_device_and_its_root_key_cannot_rotate() -> None:
    thief_key, thief_next = signer("thief"), next_key_hash(signer("thief's next").public)
    form = Rotation(INCEPTION.hash.hex(), thief_key.public.hex(), thief_next.hex(), [])
    by_root = ANA.states_as_root(ROTATE_TYPE, T0 + 9, form)
    by_thief = ANA.states_as_root(ROTATE_TYPE, T0 + 9, form, root=thief_key)

    device = received(*ANA.user.statements, by_root, by_thief)

    assert device.verdict(by_root) == device.verdict(by_thief) == Reason.BAD_SIGNATURE


def test_the_holder_of_the_recovery_secret_can_rotate() -> None:
    next_key = Signer(ANA.recovery)
    form = Rotation(INCEPTION.hash.hex(), next_key.public.hex(), "00" * 32, [])
    rotation = ANA.states_as_root(ROTATE_TYPE, T0 + 9, form, root=next_key)

    assert received(*ANA.user.statements, rotation).verdict(rotation) == "admitted"


# --- The same statements, the same answer. --------------------------------------------------------


def _everything() -> list[Signed]:
    next_key = Signer(ANA.recovery)
    rotation = ANA.states_as_root(
        ROTATE_TYPE,
        T0 + 9,
        Rotation(INCEPTION.hash.hex(), next_key.public.hex(), "00" * 32, []),
        root=next_key,
    )
    twin = spelled_otherwise(INCEPTION, ANA.root)
    phone = ANA.at_new_device("phone", T0 + 20)
    tablet = ANA.at_new_device("tablet", T0 + 30, under=twin.hash)
    revocation = Revocation(INCEPTION.hash.hex(), ANA.user.device)
    return [
        *ANA.user.statements,
        twin,
        spelled_otherwise(CERTIFICATE, ANA.root),
        phone.user.statements[-1],
        tablet.user.statements[-1],
        rotation,
        ANA.certifies(T0 + 40, under=rotation.hash, root=next_key),
        ANA.certifies(T0 + 50, root=MALLORY.root),
        ANA.states_as_root(REVOKE_TYPE, T0 + 60, revocation),
    ]


EVERYTHING = _everything()


@given(st.permutations(EVERYTHING))
def test_the_order_in_which_identity_statements_arrive_does_not_matter(
    arriving: list[Signed],
) -> None:
    expected = fold(ANA.id, EVERYTHING)
    device = fold(ANA.id, arriving)

    assert device.state.identities == expected.state.identities
    assert (device.admitted.keys(), device.refused) == (expected.admitted.keys(), expected.refused)
    assert device.held == {}


def test_an_inception_spelled_anew_takes_no_device_away() -> None:
    """Only the owner of the root key can make one, and it must not undo what was admitted."""
    before = received(*ANA.user.statements)
    for indent in range(9):
        body = json.dumps(json.loads(INCEPTION.body), indent=indent).encode()
        twin = decode_untrusted(body, INCEPTION.signature)
        key = ANA.root.sign(twin.signature_check(b"").label, twin.hash)
        before.receive(msgspec.structs.replace(twin, signature=b"\x01" + key))

        assert ANA.user.device in before.state.identities[ANA.id].devices
    assert len(before.admitted) == 2 + 9


def test_an_identity_is_not_known_before_its_inception() -> None:
    assert read_identity([]) is None
    assert read_identity([CERTIFICATE]) is None


def test_a_statement_made_under_what_is_missing_waits_for_it() -> None:
    assert identity_checks_untrusted(CERTIFICATE, lambda _: None) is None

    assert received(CERTIFICATE).verdict(CERTIFICATE) == "held"
    assert received(CERTIFICATE, INCEPTION).verdict(CERTIFICATE) == "admitted"


@pytest.mark.parametrize("made_under", ["of somebody else", "a device"])
def test_a_statement_made_under_what_gives_no_root_key_is_refused(made_under: str) -> None:
    parent = MALLORY.user.statements[0] if made_under == "of somebody else" else CERTIFICATE
    wrong = ANA.certifies(T0 + 9, under=parent.hash)

    with pytest.raises(RemoteError) as refused:
        identity_checks_untrusted(wrong, lambda _: parent)

    assert refused.value.reason is Reason.DOES_NOT_STAND


def test_statements_of_a_user_belong_to_their_own_group_only() -> None:
    value = CERTIFICATE.value
    elsewhere = ANA.body(as_group(MALLORY.id), "$device", T0 + 9, value, device=msgspec.UNSET)
    with_device = ANA.body(ANA.id, "$device", T0 + 9, value)

    for body in (elsewhere, with_device):
        with pytest.raises(RemoteError) as refused:
            identity_checks_untrusted(compose(ANA.root, body), lambda _: INCEPTION)
        assert refused.value.reason is Reason.MALFORMED


def test_a_person_at_another_device_signs_with_its_key() -> None:
    phone: Person = ANA.at_new_device("phone", T0 + 20)
    state = received(*phone.user.statements).state

    certified = state.device(ANA.id, phone.user.device)

    assert certified is not None
    note = phone.writes(ANA.id)
    assert note.signature_check(certified.key).holds()
    assert not note.signature_check(ANA.user.device_key.public).holds()
