"""A kit says what was put in, to who has the phrase, and only what holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack import limits
from peerstack.errors import InvalidKit, InvalidValue
from peerstack.identity import (
    KnownGroup,
    Whereabouts,
    decode_untrusted_kit,
    is_kit,
    kit_key_of,
    seal_kit,
)
from peerstack.keys import Secret, seal
from peerstack.record import Signed
from peerstack.testing.ports import SeededEntropy
from tests.people import T0, person, signer

ANA, BO = person("ana"), person("bo")
KEY = kit_key_of(ANA.recovery)
SECRET = bytes(range(32))
FAMILY = ANA.founds(T0 + 100).group
WHERE = Whereabouts(("https://meet.example",), (KnownGroup(FAMILY, "Family", SECRET),))
PHONE = ANA.at_new_device("phone", T0 + 20)


def sealed(*statements: Signed, where: Whereabouts = WHERE) -> bytes:
    return seal_kit(KEY, statements, where, SeededEntropy("kit"))


def by_hand(content: object) -> bytes:
    """A kit with any content, by somebody who has its key."""
    box = seal(KEY, json.dumps(content).encode(), SeededEntropy("box"))
    return json.dumps({"peerstack": "recovery kit", "version": 1, "box": base64(box)}).encode()


def base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def test_a_kit_says_what_was_put_in() -> None:
    kit = decode_untrusted_kit(sealed(*PHONE.user.statements), KEY)

    assert (kit.user, kit.name, kit.whereabouts) == (ANA.id, "ana", WHERE)
    assert kit.whereabouts.groups[0].group == FAMILY
    assert [each.name for each in kit.devices] == ["ana's laptop", "another device"]
    assert list(kit.statements) == sorted(PHONE.user.statements, key=lambda each: each.order)


def test_statements_are_read_in_any_order() -> None:
    assert decode_untrusted_kit(sealed(*reversed(PHONE.user.statements)), KEY).user == ANA.id


def test_a_kit_shows_nothing_without_its_phrase() -> None:
    data = sealed(*ANA.user.statements)

    for hidden in (ANA.id.encode(), b"Family", b"meet.example", SECRET, KEY):
        assert hidden not in data
        assert base64(hidden).rstrip("=")[:-1].encode() not in data
    with pytest.raises(InvalidKit, match="another phrase"):
        decode_untrusted_kit(data, kit_key_of(BO.recovery))


def test_a_kit_shows_no_secret_in_a_repr() -> None:
    kit = decode_untrusted_kit(sealed(*ANA.user.statements), KEY)

    for shown in (repr(kit), repr(kit.whereabouts), f"{kit.whereabouts.groups}"):
        assert SECRET.hex() not in shown
        assert repr(SECRET)[2:-1] not in shown


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"PNG", b"{" * 9, b"\xff", b"null"])
def test_what_is_no_kit_is_told(data: bytes) -> None:
    assert not is_kit(data)
    with pytest.raises(InvalidKit, match="no recovery kit"):
        decode_untrusted_kit(data, KEY)


def test_a_kit_of_a_later_version_is_told() -> None:
    later = json.loads(sealed(*ANA.user.statements)) | {"version": 2}

    with pytest.raises(InvalidKit, match="newer peerstack"):
        decode_untrusted_kit(json.dumps(later).encode(), KEY)


def test_a_kit_that_is_too_large_is_not_parsed() -> None:
    with pytest.raises(InvalidKit, match="at most"):
        decode_untrusted_kit(b"\xff" * (limits.KIT_BYTES + 1), KEY)


def forged() -> Signed:
    return ANA.certifies(T0 + 30, root=signer("thief"))


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ([], "who its user is"),
        ([ANA.user.statements[1]], "missing"),
        ([*ANA.user.statements, forged()], "bad-signature"),
        ([*ANA.user.statements, *BO.user.statements], "of several"),
        ([*ANA.user.statements, ANA.founds(T0 + 100)], "nothing of who a user is"),
    ],
    ids=["none", "no beginning", "a forged certificate", "two users", "another statement"],
)
def test_a_statement_that_does_not_hold_is_not_believed(
    statements: list[Signed], told: str
) -> None:
    with pytest.raises(InvalidKit, match=told):
        decode_untrusted_kit(sealed(*statements), KEY)


@pytest.mark.parametrize(
    "change",
    [
        {"statements": [["AA==", "AA=="]]},
        {"statements": [["AA=="]]},
        {"whereabouts": {"servers": [""], "groups": []}},
        {"whereabouts": {"servers": [], "groups": [{"id": "x", "name": "", "secret": ""}]}},
        {"whereabouts": {"servers": ["x"] * 257, "groups": []}},
        {"more": 1},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_content_of_another_form_is_refused(change: dict[str, object]) -> None:
    content = {"statements": [], "whereabouts": {"servers": [], "groups": []}}

    with pytest.raises(InvalidKit):
        decode_untrusted_kit(by_hand(content | change), KEY)


@given(st.data())
def test_a_kit_that_was_damaged_anywhere_is_refused(data: st.DataObject) -> None:
    kit = bytearray(KIT)
    place = data.draw(st.integers(0, len(kit) - 2))
    kit[place] ^= data.draw(st.integers(1, 255))

    try:
        read = decode_untrusted_kit(bytes(kit), KEY)
    except InvalidKit:
        return
    # JSON and base64 have more than one spelling of a few things.
    assert read == decode_untrusted_kit(KIT, KEY)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_refuse(data: bytes) -> None:
    with pytest.raises(InvalidKit):
        decode_untrusted_kit(data, Secret(bytes(32)))


def test_what_is_too_much_for_a_kit_is_told_when_it_is_written() -> None:
    many = [ANA.user.statements[0]] * (limits.KIT_STATEMENTS + 1)

    with pytest.raises(InvalidValue, match="more than a recovery kit holds"):
        sealed(*many)


KIT = sealed(*ANA.user.statements)
