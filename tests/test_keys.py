"""Keys: what is made for one purpose is worth nothing for another, and secrets do not show."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerstack.errors import ProfileLocked, Reason, RemoteError
from peerstack.keys import (
    BoxKey,
    DerivedIdCheck,
    Label,
    PublicKey,
    SignatureCheck,
    Signer,
    derive,
    derive_id,
    framed,
    open_untrusted,
    open_with_passphrase,
    seal,
    seal_to,
    seal_with_passphrase,
    sha256,
)
from peerstack.testing.ports import SeededEntropy
from tests.people import signer

ENTROPY = SeededEntropy("tests of keys")
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
"""L of RFC 8032, section 5.1."""


def test_all_labels_differ_and_none_begins_another() -> None:
    for one, other in itertools.permutations([label.value for label in Label], 2):
        assert not other.startswith(one)


def test_no_label_is_an_alias_of_another() -> None:
    assert len(Label) == len(Label.__members__)


@pytest.mark.parametrize("label", Label)
def test_a_label_names_the_version_of_the_protocol_and_ends_where_nothing_else_does(
    label: Label,
) -> None:
    assert label.value.startswith(b"peerstack/1 ")
    assert label.value.index(b"\0") == len(label.value) - 1


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_no_two_lists_of_parts_look_alike_when_framed(one: list[bytes], other: list[bytes]) -> None:
    assert (framed(*one) == framed(*other)) == (one == other)


# --- Signatures. ----------------------------------------------------------------------------------


def check(
    signature: bytes, payload: bytes = b"payload", public: bytes | None = None
) -> SignatureCheck:
    key = signer("ana").public if public is None else public
    return SignatureCheck(key, Label.RECORD, payload, signature)


def test_a_signature_holds_for_its_key_label_and_payload() -> None:
    assert check(signer("ana").sign(Label.RECORD, b"payload")).holds()


@pytest.mark.parametrize("label", [each for each in Label if each is not Label.RECORD])
def test_a_signature_for_one_purpose_is_none_for_another(label: Label) -> None:
    assert not check(signer("ana").sign(label, b"payload")).holds()


def test_a_signature_of_another_key_or_payload_does_not_hold() -> None:
    assert not check(signer("bo").sign(Label.RECORD, b"payload")).holds()
    assert not check(signer("ana").sign(Label.RECORD, b"payload")[::-1]).holds()
    assert not check(signer("ana").sign(Label.RECORD, b"payload"), payload=b"other").holds()


@given(st.binary(max_size=130), st.binary(max_size=70))
def test_garbage_is_no_signature_and_no_key_and_does_no_harm(garbage: bytes, key: bytes) -> None:
    assert not check(garbage).holds()
    assert not check(signer("ana").sign(Label.RECORD, b"payload"), public=key).holds()


def test_a_signature_cannot_smuggle_in_the_beginning_of_what_was_signed() -> None:
    """A signature longer than 64 bytes would move its rest in front of the label."""
    payload_of_other = b"hello" + Label.RECORD.value + b"payload"
    signature = signer("ana").sign(Label.ANSWER, payload_of_other)

    assert not check(signature + Label.ANSWER.value + b"hello").holds()


def test_a_signature_has_one_form_only() -> None:
    """RFC 8032, section 5.1.7: S is below the order of the group."""
    genuine = signer("ana").sign(Label.RECORD, b"payload")
    scalar = int.from_bytes(genuine[32:], "little") + GROUP_ORDER

    assert not check(genuine[:32] + scalar.to_bytes(32, "little")).holds()


@pytest.mark.parametrize("key", [b"\x01" + bytes(31), bytes(32)], ids=["neutral", "order 4"])
def test_a_key_under_which_everything_is_signed_is_no_key(key: bytes) -> None:
    """With a point of small order as key, R = key and S = 0 would sign whatever one likes."""
    assert not check(key + bytes(32), public=key).holds()


@pytest.mark.parametrize("cut", [0, 1, 31])
def test_a_short_key_is_never_read_beyond_its_end(cut: int) -> None:
    genuine = signer("ana")

    assert not check(genuine.sign(Label.RECORD, b"payload"), public=genuine.public[:cut]).holds()


# --- Derived ids and keys. ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "fields", "time_ms"),
    [
        (Label.GROUP_ID, b"fields", 5),
        (Label.USER_ID, b"fieldS", 5),
        (Label.USER_ID, b"fields", 6),
    ],
)
def test_a_derived_id_is_good_for_its_label_fields_and_time_only(
    label: Label, fields: bytes, time_ms: int
) -> None:
    claimed = derive_id(Label.USER_ID, b"fields", 5)

    assert DerivedIdCheck(Label.USER_ID, b"fields", 5, claimed).holds()
    assert not DerivedIdCheck(label, fields, time_ms, claimed).holds()


def test_a_derived_secret_is_good_for_its_label_and_context_only() -> None:
    secrets = [
        derive(b"secret", Label.TOPIC, b"ab", b"c"),
        derive(b"secret", Label.TOPIC, b"a", b"bc"),
        derive(b"secret", Label.TAG, b"ab", b"c"),
        derive(b"Secret", Label.TOPIC, b"ab", b"c"),
    ]

    assert len(set(secrets)) == len(secrets)


def test_two_devices_share_a_secret_that_no_third_one_and_no_other_context_gives() -> None:
    ana, ben, cleo = signer("ana"), signer("ben"), signer("cleo")
    secret = ana.pair_untrusted(ben.public, b"group")

    assert ben.pair_untrusted(ana.public, b"group") == secret
    others = [
        ana.pair_untrusted(cleo.public, b"group"),
        cleo.pair_untrusted(ben.public, b"group"),
        ana.pair_untrusted(ben.public, b"another"),
        ana.pair_untrusted(ben.public),
    ]
    assert len({secret, *others}) == 5


@pytest.mark.parametrize(
    "point", [b"", b"short", bytes(32), b"\x01" + bytes(31), b"\xff" * 32, b"\xee" + b"\xff" * 31]
)
def test_what_is_no_key_or_gives_everybody_the_same_secret_is_shared_with_nobody(
    point: bytes,
) -> None:
    with pytest.raises(RemoteError):
        signer("ana").pair_untrusted(PublicKey(point))


# --- Boxes. ---------------------------------------------------------------------------------------


@given(st.binary(max_size=100))
def test_what_is_sealed_opens_with_its_key_and_no_other(message: bytes) -> None:
    key, other = derive(b"k", Label.BOX), derive(b"o", Label.BOX)
    box = seal(key, message, ENTROPY)

    assert open_untrusted(key, box) == message
    with pytest.raises(RemoteError) as refused:
        open_untrusted(other, box)
    assert refused.value.reason is Reason.BAD_PROOF


@given(st.binary(max_size=100))
def test_what_is_sealed_to_a_key_opens_with_that_key_and_no_other(message: bytes) -> None:
    mine, other = BoxKey(b"m" * 32), BoxKey(b"o" * 32)
    sealed = seal_to(mine.public, message, ENTROPY)

    assert mine.open_untrusted(sealed) == message
    with pytest.raises(RemoteError):
        other.open_untrusted(sealed)


@given(st.binary(max_size=200))
def test_garbage_opens_nothing_and_raises_nothing_but_a_remote_error(garbage: bytes) -> None:
    with pytest.raises(RemoteError):
        BoxKey(b"m" * 32).open_untrusted(garbage)
    with pytest.raises(RemoteError):
        open_untrusted(derive(b"k", Label.BOX), garbage)


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31), b"", b"short"])
def test_a_key_that_gives_everybody_the_same_secret_is_not_sealed_to(point: bytes) -> None:
    with pytest.raises(RemoteError):
        seal_to(PublicKey(point), b"message", ENTROPY)
    with pytest.raises(RemoteError):
        BoxKey(b"m" * 32).open_untrusted(point.ljust(32, b"\0") + bytes(60))


def test_a_box_that_was_changed_in_any_byte_does_not_open() -> None:
    key = derive(b"k", Label.BOX)
    box = seal(key, b"message", ENTROPY)

    for at in range(len(box)):
        changed = box[:at] + bytes([box[at] ^ 1]) + box[at + 1 :]
        with pytest.raises(RemoteError):
            open_untrusted(key, changed)


@settings(max_examples=3)
@given(st.text(max_size=20), st.binary(max_size=20))
def test_a_passphrase_opens_what_it_sealed(passphrase: str, message: bytes) -> None:
    sealed = seal_with_passphrase(passphrase, message, ENTROPY)

    assert open_with_passphrase(passphrase, sealed) == message


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(80)])
def test_another_passphrase_or_a_damaged_file_says_that_the_profile_is_locked(
    sealed: bytes,
) -> None:
    with pytest.raises(ProfileLocked) as refused:
        open_with_passphrase("correct horse", sealed)
    assert "correct horse" not in str(refused.value)


# --- Secrets do not show. -------------------------------------------------------------------------


@pytest.mark.parametrize("keeper", [Signer(b"\x5a" * 32), BoxKey(b"\x5a" * 32)])
def test_a_key_pair_never_shows_its_secret(keeper: Signer | BoxKey) -> None:
    for shown in (repr(keeper), str(keeper), f"{keeper}", repr([keeper]), f"{keeper!r:>80}"):
        assert "5a5a" not in shown
        assert "ZZZZ" not in shown
        assert keeper.public.hex()[:8] in shown


def test_the_seed_of_a_signer_makes_the_same_signer() -> None:
    assert Signer(signer("ana").seed).public == signer("ana").public


def test_sha256_is_over_the_parts_one_behind_the_other() -> None:
    assert sha256(b"ab", b"c") == sha256(b"abc")
