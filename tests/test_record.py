"""The envelope: what comes from outside is checked for all and for ever, and the winner is one."""

from __future__ import annotations

import enum
import itertools
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from peerstack import limits, record
from peerstack.errors import InvalidValue, PeerstackError, Reason, RemoteError
from peerstack.ids import DeviceId
from peerstack.keys import sha256
from peerstack.record import Body, Signed, compose, decode_untrusted
from tests.people import NOW, person, signer
from tests.raw_bodies import DEVICES, GROUP, SIGNATURE, encoded, fields

ANA, BO = person("ana"), person("bo")

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-limits.INTEGER_MAX, limits.INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(["NaN", "Infinity", "2024-05-06T07:08:09Z", "null", "1e400", "\\u0000"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def verdict(body: bytes, signature: bytes = SIGNATURE) -> str:
    """What decoding says: the reason of a refusal, or "fine"."""
    try:
        decode_untrusted(body, signature)
    except RemoteError as refusal:
        return refusal.reason.value
    return "fine"


# --- Whatever comes in. ---------------------------------------------------------------------------


@given(st.binary(max_size=200), st.binary(max_size=70) | st.just(SIGNATURE))
@example(b"", b"")
@example(b"[" * 50_000, SIGNATURE)
@example(b'{"a":' * 2_000 + b"1" + b"}" * 2_000, SIGNATURE)
@example(b"9" * 60_000, SIGNATURE)
@example(b'"' + b"\\u0000" * 10_000 + b'"', SIGNATURE)
def test_any_bytes_raise_nothing_but_a_remote_error(body: bytes, signature: bytes) -> None:
    assert verdict(body, signature) in {"fine", "malformed", "oversize", "unknown-signature-scheme"}


@given(st.data())
def test_a_body_changed_anywhere_raises_nothing_but_a_remote_error(data: st.DataObject) -> None:
    body = encoded(value={"n": [1, 2.5, "x\\u00e9"]}, seen={DEVICES[0]: 5})
    at = data.draw(st.integers(0, len(body)))
    cut = data.draw(st.integers(0, 3))
    changed = body[:at] + data.draw(st.binary(max_size=3)) + body[at + cut :]

    assert verdict(changed) in {"fine", "malformed"}


@given(st.dictionaries(st.sampled_from([*Body.__struct_fields__, "x"]), JSON))
def test_fields_of_any_type_raise_nothing_but_a_remote_error(changes: dict[str, Any]) -> None:
    assert verdict(orjson.dumps(fields() | changes)) in {"fine", "malformed"}


@given(st.binary(max_size=80).filter(lambda signature: signature[:1] != b"\x01"))
def test_a_signature_of_another_scheme_is_told_from_a_broken_one(signature: bytes) -> None:
    with pytest.raises(RemoteError) as refused:
        decode_untrusted(encoded(), signature)

    assert refused.value.reason is (Reason.UNKNOWN_SCHEME if signature else Reason.MALFORMED)


def test_a_refusal_shows_little_of_what_was_sent_and_nothing_that_a_terminal_obeys() -> None:
    hostile = "\x1b[2J\r\n\u202e" + "x" * 10_000
    with pytest.raises(RemoteError) as refused:
        decode_untrusted(encoded(**{hostile: 1}), SIGNATURE)

    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_a_body_is_measured_before_it_is_read() -> None:
    assert verdict(b"\xff" * (limits.BODY_BYTES + 1)) == "oversize"


def test_nothing_in_seen_refuses_a_body_but_its_form() -> None:
    for odd in ({DEVICES[0]: limits.TIME_MS_MAX}, {fields()["device"]: NOW}, {DEVICES[0]: 0}):
        assert verdict(encoded(seen=odd)) == "fine"


# --- The quick look and the close look agree. -----------------------------------------------------


def closely(body: bytes) -> str:
    """What decoding says where nothing is waved through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "_is_plainly_fine", lambda body, fields: False)
        return verdict(body)


@given(JSON, st.sampled_from([None, 1, 2]), st.booleans())
def test_the_quick_look_finds_nothing_fine_that_the_close_look_refuses(
    value: Any,
    indent: int | None,
    ascii_only: bool,
) -> None:
    text = json.dumps(fields(value={"v": value}), indent=indent, ensure_ascii=ascii_only)
    plain = orjson.dumps(fields(value={"v": value}))

    assert verdict(plain) == closely(plain) == "fine"
    assert verdict(text.encode()) == closely(text.encode()) == "fine"


FRAGMENTS = st.sampled_from(
    [
        *("1", "-0", "1e400", "1E2", "1.0", " 1 ", "NaN", "12345678901234567890.5"),
        *("9007199254740991", "9007199254740992", "-9007199254740992", "9" * 30),
        *('"a"', '"\\u0000"', '"\\\\u0000"', '"\\ud800"', '"[[[{{{"', '"9999999999999999"'),
        *('{"a":1,"a":1}', '{"a":1,"\\u0061":2}', '{"a":{"a":1}}'),
        *("[" * 62 + "]" * 62, "[" * 63 + "]" * 63),
    ]
)


@given(st.lists(FRAGMENTS, min_size=1, max_size=3))
def test_both_looks_agree_on_what_is_at_the_edge(fragments: list[str]) -> None:
    body = encoded(value={"v": []}).replace(b"[]", f"[{','.join(fragments)}]".encode())

    assert verdict(body) == closely(body)


# --- What an author stores comes back. ------------------------------------------------------------


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_any_json_value_comes_back_as_it_was_given(value: dict[str, Any]) -> None:
    signed = ANA.writes(GROUP, value=value)

    assert signed.value == value
    assert orjson.dumps(signed.value) == orjson.dumps(value)
    assert decode_untrusted(signed.body, signed.signature) == signed


def test_text_that_looks_like_something_else_stays_text() -> None:
    """The original turned such strings into other types in transit, which broke their hashes."""
    value = {"a": "NaN", "b": "2024-05-06T07:08:09.000Z", "c": "Infinity", "d": "1", "e": "null"}

    passed_on = decode_untrusted(*_wire(ANA.writes(GROUP, value=value)))

    assert passed_on.value == value
    assert passed_on.signature_check(ANA.user.device_key.public).holds()


def test_a_key_that_another_language_holds_special_is_a_key_like_any_other() -> None:
    """The original followed a `__proto__` path into the internals of its language."""
    value = {"__proto__": {"admin": True}, "constructor": 1, "__class__": [], "__struct__": None}

    signed = ANA.writes(GROUP, value=value)

    assert signed.value == value
    assert not hasattr(signed, "admin")
    assert verdict(encoded(**{"__proto__": {"signer": BO.id}})) == "malformed"


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    "content",
    [
        float("nan"),
        float("inf"),
        (1, 2),
        datetime(2024, 1, 1, tzinfo=UTC),
        uuid.UUID(int=1),
        b"bytes",
        {1: "key"},
        {1, 2},
        Colour.RED,
        limits.INTEGER_MAX + 1,
        2**70,
        "\ud800",
        "nul\0",
        orjson.Fragment(b'{"a":'),
        orjson.Fragment(b'{"a":1}'),
        UNSET,
        type("Thing", (), {})(),
        orjson.loads("[" * 100 + "]" * 100),
    ],
    ids=lambda content: type(content).__name__,
)
def test_what_json_does_not_have_is_refused_and_never_changed(content: object) -> None:
    with pytest.raises(InvalidValue):
        ANA.writes(GROUP, value={"v": content})


def test_a_value_that_contains_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["self"] = value

    with pytest.raises(InvalidValue):
        ANA.writes(GROUP, value=value)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "Note"},
        {"id": "not-an-id"},
        {"group": "note"},
        {"value": []},
        {"modified": -1},
        {"value": UNSET},
        {"deleted": True},
        {"deleted": False, "value": UNSET},
        {"seen": {}},
        {"device": UNSET},
    ],
    ids=str,
)
def test_an_author_learns_at_once_that_a_body_is_not_well_formed(changes: dict[str, Any]) -> None:
    body = msgspec.structs.replace(ANA.body(GROUP, "note", NOW, {}), **changes)

    with pytest.raises(InvalidValue):
        compose(ANA.user.device_key, body)


def test_an_invalid_write_leaves_nothing_behind_that_blocks_the_valid_one() -> None:
    """In the original, sending an invalid record first blocked the valid one of the same id."""
    mine = ANA.writes(GROUP)
    with pytest.raises(RemoteError):
        decode_untrusted(mine.body.replace(b"note", b"NOTE"), mine.signature)

    assert decode_untrusted(mine.body, mine.signature) == mine


def test_an_error_about_a_value_is_ours() -> None:
    with pytest.raises(PeerstackError):
        ANA.writes(GROUP, value={"v": object()})


# --- Hash and signature. --------------------------------------------------------------------------


def _wire(signed: Signed) -> tuple[bytes, bytes]:
    return signed.body, signed.signature


def test_a_garbage_signature_is_not_accepted() -> None:
    """The original took users' records with a garbage signature."""
    genuine = ANA.writes(GROUP)
    for garbage in (bytes(64), b"\xff" * 64, genuine.signature[1:][::-1], b"\x01" * 64):
        forged = decode_untrusted(genuine.body, b"\x01" + garbage)
        assert not forged.signature_check(ANA.user.device_key.public).holds()


def test_the_signature_is_that_of_the_key_asked_for() -> None:
    signed = ANA.writes(GROUP)

    assert signed.signature_check(ANA.user.device_key.public).holds()
    assert not signed.signature_check(BO.user.device_key.public).holds()


@given(st.data())
def test_no_byte_of_a_body_can_change_under_its_signature(data: st.DataObject) -> None:
    signed = ANA.writes(GROUP, value={"text": "hello"})
    at = data.draw(st.integers(0, len(signed.body) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != signed.body[at]))
    body = signed.body[:at] + bytes([other]) + signed.body[at + 1 :]

    try:
        changed = decode_untrusted(body, signed.signature)
    except RemoteError:
        return
    assert changed.hash != signed.hash
    assert not changed.signature_check(ANA.user.device_key.public).holds()


@pytest.mark.parametrize("field", ["id", "group", "type", "modified", "signer", "device"])
def test_the_field_that_is_judged_is_the_field_that_was_signed(field: str) -> None:
    """In the original, a change's inner id could differ from the id that was checked."""
    signed = ANA.writes(GROUP)

    assert getattr(signed, field) == orjson.loads(signed.body)[field]
    twice = signed.body[:-1] + f',"{field}":{json.dumps(fields()[field])}}}'.encode()
    assert verdict(twice) == "malformed"


def test_bytes_are_kept_as_the_author_made_them() -> None:
    odd = json.dumps(fields(value={"b": 1.50, "a": "\u00e9"}), indent=3).encode()

    signed = decode_untrusted(odd, SIGNATURE)

    assert signed.body == odd
    assert signed.hash == sha256(odd)


def test_changing_a_value_that_was_handed_out_changes_nothing_that_is_stored() -> None:
    signed = ANA.writes(GROUP, value={"list": [1]})
    signed.value["list"].append(2)

    assert signed.value == {"list": [1]}


def test_an_app_sees_of_a_deletion_that_it_is_one() -> None:
    deletion = compose(ANA.user.device_key, ANA.body(GROUP, "note", NOW, deleted=True))

    seen = record.Record.of(deletion)

    assert (seen.deleted, seen.value) == (True, {})
    assert seen.modified_at.timestamp() * 1000 == NOW


# --- Statements and records. ----------------------------------------------------------------------


@pytest.mark.parametrize("type_name", ["note", "a", "$data.chunk"])
def test_these_types_are_records(type_name: str) -> None:
    assert not record.is_statement_type(type_name)
    assert verdict(encoded(type=type_name, seen={DEVICES[0]: 1})) == "fine"


@pytest.mark.parametrize("type_name", ["$profile", "$secret"])
def test_these_types_are_records_of_which_a_group_has_one(type_name: str) -> None:
    own = record.reserved_id(GROUP, type_name)
    assert not record.is_statement_type(type_name)
    assert verdict(encoded(id=own, type=type_name, seen={DEVICES[0]: 1})) == "fine"
    assert verdict(encoded(type=type_name, seen={DEVICES[0]: 1})) == "malformed"
    assert verdict(encoded(id=own)) == "malformed"


def test_a_mark_is_a_record_of_which_each_device_has_one() -> None:
    own = record.mark_id(GROUP, DeviceId(DEVICES[0]))
    assert not record.is_statement_type("$reached")
    assert verdict(encoded(id=own, type="$reached", device=DEVICES[0])) == "fine"
    assert verdict(encoded(id=own, type="$reached", device=DEVICES[1])) == "malformed"
    assert verdict(encoded(id=own, device=DEVICES[0])) == "malformed"
    assert verdict(encoded(type="$reached", device=DEVICES[0])) == "malformed"


def test_a_mark_is_no_larger_than_it_has_to_be() -> None:
    """Readers write them, who may write nothing else."""
    own, room = record.mark_id(GROUP, DeviceId(DEVICES[0])), limits.MARK_BYTES
    body = encoded(id=own, type="$reached", device=DEVICES[0], value={"at": ""})
    padded = body.replace(b'"at":""', b'"at":"' + b"x" * (room - len(body)) + b'"')
    assert verdict(padded) == "fine"
    assert verdict(padded.replace(b"xx", b"xxx", 1)) == "oversize"
    most = {f"7{n:025}": [limits.TIME_MS_MAX] * 2 for n in range(limits.MARK_DEVICES)}
    full = encoded(id=own, type="$reached", device=DEVICES[0], value={"at": most})
    assert verdict(full) == "fine"


@pytest.mark.parametrize("type_name", ["$user", "$grant", "$of-a-later-version", "$data", "$dat.a"])
def test_every_other_reserved_type_is_a_statement(type_name: str) -> None:
    assert record.is_statement_type(type_name)
    assert verdict(encoded(type=type_name)) == "fine"
    assert verdict(encoded(type=type_name, device=UNSET)) == "fine"
    assert verdict(encoded(type=type_name, seen={DEVICES[0]: 1})) == "malformed"
    assert verdict(encoded(type=type_name, value=UNSET, deleted=True)) == "malformed"


# --- Secrets. -------------------------------------------------------------------------------------


def test_no_secret_shows_in_what_is_signed_or_in_an_error() -> None:
    key = signer("ana's secret")
    signed = compose(key, ANA.body(GROUP, "note", NOW, {}))
    with pytest.raises(InvalidValue) as refused:
        compose(key, ANA.body(GROUP, "Note", NOW, {}))

    for shown, secret in itertools.product(
        (repr(signed), str(signed), repr(signed.signature_check(key.public)), str(refused.value)),
        (key.seed.hex(), repr(bytes(key.seed))),
    ):
        assert secret not in shown
