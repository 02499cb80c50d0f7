"""The signed envelope: body bytes to fields and back, hash, signature, last-writer-wins order.

Records and statements share it. It knows how a body must look, for all and for ever
(`docs/protocol.md`, "Bodies"), and nothing of who may write what, of groups or of storage.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NewType, cast

import msgspec
import orjson
from msgspec import UNSET, Meta, UnsetType

from peerstack import limits
from peerstack.errors import InvalidValue, Reason, RemoteError
from peerstack.ids import (
    ID_PATTERN,
    ULID_PATTERN,
    DeviceId,
    GroupId,
    RecordId,
    UserId,
    as_group,
    as_user,
)
from peerstack.keys import (
    SCHEME_PLAIN,
    SIGNATURE_BYTES,
    Hash,
    Label,
    SignatureCheck,
    Signer,
    sha256,
)

JsonObject = dict[str, Any]
Milliseconds = NewType("Milliseconds", int)

UlidText = Annotated[str, Meta(pattern=ULID_PATTERN)]
IdText = Annotated[str, Meta(pattern=ID_PATTERN, max_length=limits.ID_CHARS)]
TypeText = Annotated[str, Meta(pattern=r"^(\$[a-z0-9._-]{1,63}|[a-z0-9._-]{1,64})\Z")]
TimeMs = Annotated[int, Meta(ge=0, le=limits.TIME_MS_MAX)]

PROFILE_TYPE: Final = "$profile"
SECRET_TYPE: Final = "$secret"  # noqa: S105 -- the name of a record type
REACHED_TYPE: Final = "$reached"
OWN_GROUP_TYPE: Final = "$data.group"
_ONE_OF_A_GROUP: Final = frozenset({PROFILE_TYPE, SECRET_TYPE})
_RESERVED_RECORDS: Final = _ONE_OF_A_GROUP | {REACHED_TYPE}
DATA_PREFIX: Final = "$data."
"""What the types of further reserved records begin with."""

_SIGNATURE: Final = bytes([SCHEME_PLAIN])
_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG_DIGITS: Final = b"0" * 16
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_WRITE_OPTIONS: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an author signed: the fields of one version of a record, or of a statement."""

    id: IdText
    group: UlidText
    type: TypeText
    modified: TimeMs
    signer: UlidText
    device: UlidText | UnsetType = UNSET
    value: JsonObject | UnsetType = UNSET
    deleted: bool | UnsetType = UNSET
    seen: Annotated[dict[UlidText, TimeMs], Meta(min_length=1)] | UnsetType = UNSET


class Signed(msgspec.Struct, frozen=True):
    """A body's bytes as its author made them, with their hash and signature, and its fields.

    `signature` is a scheme byte and the scheme's bytes. That the signature holds is not implied:
    see `signature_check`. `device` is empty where a root key signs (identity statements).
    """

    body: bytes
    hash: Hash
    signature: bytes
    id: RecordId
    group: GroupId
    type: str
    modified: int
    signer: UserId
    device: DeviceId
    deleted: bool
    seen: Mapping[str, int]

    @property
    def value(self) -> JsonObject:
        """The JSON object, parsed anew at each call; empty in a deletion."""
        return cast(JsonObject, orjson.loads(self.body).get("value", {}))

    @property
    def order(self) -> tuple[int, bytes]:
        """Of two versions of an id, the one with the higher order wins, on every device."""
        return (self.modified, self.hash)

    @property
    def is_reserved(self) -> bool:
        """Whether it is the framework's own, and no business of apps."""
        return self.type.startswith("$")

    @property
    def is_mark(self) -> bool:
        """Whether it says how far a device is level: of such, the live version alone is kept."""
        return self.type == REACHED_TYPE

    @property
    def is_statement(self) -> bool:
        """Whether this says who may (a statement) rather than what (a record)."""
        return is_statement_type(self.type)

    def signature_check(self, public: bytes) -> SignatureCheck:
        """The check of the signature against the key that should have made it."""
        return SignatureCheck(public, Label.RECORD, self.hash, self.signature[1:])


class Record(msgspec.Struct, frozen=True):
    """One version of a record, as apps see it. Changing `value` changes nothing that is stored."""

    id: RecordId
    group: GroupId
    type: str
    value: JsonObject
    modified: int
    signer: UserId
    device: DeviceId
    hash: Hash
    deleted: bool

    @property
    def modified_at(self) -> datetime:
        """`modified` as an aware datetime in UTC."""
        return datetime.fromtimestamp(self.modified / 1000, UTC)

    @classmethod
    def of(cls, signed: Signed) -> Record:
        """What apps see of a signed version."""
        return cls(
            signed.id,
            signed.group,
            signed.type,
            signed.value,
            signed.modified,
            signed.signer,
            signed.device,
            signed.hash,
            signed.deleted,
        )


def is_statement_type(type_name: str) -> bool:
    """Whether a type belongs to the log of statements: all reserved ones but those of records."""
    return (
        type_name.startswith("$")
        and type_name not in _RESERVED_RECORDS
        and not type_name.startswith(DATA_PREFIX)
    )


def compose(signer: Signer, body: Body) -> Signed:
    """Sign a new body with a device's (or root) key.

    Raises `InvalidValue` where the body would not be well formed, or where its value would not come
    back as it was given (NaN, dates, tuples and other things that JSON does not have).
    """
    try:
        encoded = orjson.dumps(_plain(body), option=_WRITE_OPTIONS)
        fields = _parse_untrusted(encoded)
        parsed = _body_untrusted(fields)
        _check_size(parsed.type, encoded)
    except RemoteError as error:
        raise InvalidValue(f"this {body.type} cannot be stored: {error.detail}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"the value of this {body.type} is no JSON: {error}") from error
    if parsed.value != body.value:
        raise InvalidValue(
            f"the value of this {body.type} would change when stored; use only what JSON has: "
            "objects with text keys, lists, text, finite numbers, true, false and null"
        )
    digest = sha256(encoded)
    return _signed(encoded, digest, _SIGNATURE + signer.sign(Label.RECORD, digest), parsed)


def _plain(body: Body) -> JsonObject:
    return {
        name: value
        for name in Body.__struct_fields__
        if (value := getattr(body, name)) is not UNSET
    }


def decode_untrusted(body: bytes, signature: bytes) -> Signed:
    """The fields of a body that came from outside, checked against the one list of rules.

    Raises `RemoteError` (`OVERSIZE`, `MALFORMED` or `UNKNOWN_SCHEME`) and nothing else. Does not
    check the signature itself.
    """
    _check_signature_form(signature)
    parsed = _body_untrusted(_parse_untrusted(body))
    _check_size(parsed.type, body)
    return _signed(body, sha256(body), signature, parsed)


def _body_untrusted(fields: JsonObject) -> Body:
    try:
        parsed = msgspec.convert(fields, Body)
    except msgspec.ValidationError as error:
        raise RemoteError(Reason.MALFORMED, str(error)) from error
    _check_shape(parsed)
    return parsed


def _signed(body: bytes, digest: Hash, signature: bytes, parsed: Body) -> Signed:
    return Signed(
        body,
        digest,
        signature,
        RecordId(parsed.id),
        as_group(parsed.group),
        parsed.type,
        parsed.modified,
        as_user(parsed.signer),
        DeviceId(parsed.device or ""),
        parsed.deleted is True,
        parsed.seen or {},
    )


def _check_signature_form(signature: bytes) -> None:
    if not signature:
        raise RemoteError(Reason.MALFORMED, "no signature")
    if signature[0] != SCHEME_PLAIN:
        raise RemoteError(
            Reason.UNKNOWN_SCHEME, f"signature scheme {signature[0]} needs a newer peerstack"
        )
    if len(signature) != 1 + SIGNATURE_BYTES:
        raise RemoteError(Reason.MALFORMED, f"{len(signature)} bytes of signature")


def _check_shape(body: Body) -> None:
    """What the types of `Body` alone do not say."""
    statement = is_statement_type(body.type)
    if (body.value is UNSET) == (body.deleted is UNSET):
        raise RemoteError(Reason.MALFORMED, "either a value or a deletion, not both or neither")
    if body.deleted is False:
        raise RemoteError(Reason.MALFORMED, "`deleted` is true or absent")
    if body.device is UNSET and not statement:
        raise RemoteError(Reason.MALFORMED, "a record names the device that signed it")
    if statement and (body.value is UNSET or body.seen is not UNSET):
        raise RemoteError(Reason.MALFORMED, "a statement has a value and no versions before it")
    if body.seen is not UNSET and len(body.seen) > limits.SEEN_ENTRIES:
        raise RemoteError(Reason.MALFORMED, f"more than {limits.SEEN_ENTRIES} entries in `seen`")
    if not _is_in_place(body):
        raise RemoteError(Reason.MALFORMED, f"a {body.type} with the id {body.id}")


def reserved_id(group: GroupId, type_name: str) -> RecordId:
    """The id of the one record of a reserved type that a group has: the same for all."""
    return RecordId(f"{group}:{type_name.removeprefix('$')}")


def mark_id(group: GroupId, device: DeviceId) -> RecordId:
    """The id of the one record that says how far a device is level with a group."""
    return RecordId(f"{reserved_id(group, REACHED_TYPE)}:{device}")


def _is_in_place(body: Body) -> bool:
    """Whether the id is one of the type's: else a writer could take the place of an admin's record.

    A mark's id names the device that signs it, so that none speaks for another.
    """
    place, _, name = body.id.partition(":")
    kind, colon, device = name.partition(":")
    reserved = None
    if place == body.group and f"${name}" in _ONE_OF_A_GROUP:
        reserved = f"${name}"
    elif place == body.group and colon and f"${kind}" == REACHED_TYPE:
        reserved = REACHED_TYPE if device == body.device else ""
    return reserved == (body.type if body.type in _RESERVED_RECORDS else None)


def _check_size(type_name: str, body: bytes) -> None:
    # Readers write these too, who may fill nobody's disk otherwise.
    if type_name == REACHED_TYPE and len(body) > limits.MARK_BYTES:
        raise RemoteError(Reason.OVERSIZE, f"a {type_name} of {len(body)} bytes")


def _parse_untrusted(body: bytes) -> JsonObject:
    if len(body) > limits.BODY_BYTES:
        raise RemoteError(Reason.OVERSIZE, f"body of {len(body)} bytes, {limits.BODY_BYTES} fit")
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RemoteError(Reason.MALFORMED, "no valid JSON in UTF-8") from error
    if not isinstance(fields, dict):
        raise RemoteError(Reason.MALFORMED, "no JSON object")
    if not _is_plainly_fine(body, fields):
        _check_slowly(body)
    return fields


def _is_plainly_fine(body: bytes, fields: JsonObject) -> bool:
    """Whether a body needs no closer look.

    One that equals its own serialisation has no duplicate keys; with few brackets it is not deep;
    without 16 digits in a row it has no large integer; without that escape it has no U+0000.
    """
    return (
        body.count(b"{") + body.count(b"[") <= limits.BODY_DEPTH
        and b"\\u0000" not in body
        and _LONG_DIGITS not in body.translate(_DIGITS)
        and orjson.dumps(fields) == body
    )


def _check_slowly(body: bytes) -> None:
    if _depth(body) > limits.BODY_DEPTH:
        raise RemoteError(Reason.MALFORMED, f"nested deeper than {limits.BODY_DEPTH}")
    try:
        json.loads(body.decode(), object_pairs_hook=_unique, parse_int=_integer)
    except ValueError as error:
        raise RemoteError(Reason.MALFORMED, "no valid JSON in UTF-8") from error
    # Every U+0000 is an escape, since JSON allows no raw control character in a string.
    if any("\0" in json.loads(text) for text in _STRINGS.findall(body) if b"\\u0000" in text):
        raise RemoteError(Reason.MALFORMED, "U+0000 in a string")


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for byte in _STRINGS.sub(b"", body):
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RemoteError(Reason.MALFORMED, "a key twice in one object")
    return fields


def _integer(digits: str) -> int:
    # The length first: `int` of very many digits is slow.
    if len(digits) > 17 or abs(int(digits)) > limits.INTEGER_MAX:
        raise RemoteError(Reason.MALFORMED, f"an integer beyond {limits.INTEGER_MAX}")
    return int(digits)


def merge_seen(*replaced: Signed) -> dict[str, int] | UnsetType:
    """The `seen` of a version that replaces others: what those had seen, and themselves.

    Beyond the bound, the entries with the earliest times go: an author not heard of for longest.
    """
    if not replaced:
        return UNSET
    seen: dict[str, int] = {}
    for each in replaced:
        # A version is later than all that it has seen. What claims otherwise pushes nothing out.
        earlier = {device: at for device, at in each.seen.items() if at < each.modified}
        for device, at in (earlier | {each.device: each.modified}).items():
            seen[device] = max(at, seen.get(device, at))
    newest = sorted(seen.items(), key=lambda entry: (entry[1], entry[0]), reverse=True)
    return dict(newest[: limits.SEEN_ENTRIES])


def had_seen(winner: Signed, loser: Signed) -> bool:
    """Whether the author of `winner` had seen `loser`; where not, the merge is a conflict."""
    return loser.modified <= winner.seen.get(loser.device, -1)


def unseen_losers(live: Signed, lost: Iterable[Signed]) -> list[Signed]:
    """The conflicts among versions that lost to `live`, the latest first.

    A version is one where neither the author of `live` nor that of a later conflict had seen it,
    and it is among the latest `limits.CONFLICTS_PER_SIGNER` such of its signer. So it depends on
    `live` and on later conflicts alone: devices that show each other theirs end with the same
    ones, whatever else each of them keeps.
    """
    found: list[Signed] = []
    of_signer = Counter[UserId]()
    for loser in sorted(lost, key=lambda each: each.order, reverse=True):
        seen = any(had_seen(later, loser) for later in (live, *found))
        if not seen and of_signer[loser.signer] < limits.CONFLICTS_PER_SIGNER:
            of_signer[loser.signer] += 1
            found.append(loser)
    return found
