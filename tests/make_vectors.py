"""Makes `tests/vectors.json`: known answers for whoever writes a client in another language.

Run `python -m tests.make_vectors` from the top of the checkout after a change of the protocol. The
same code makes the same file: every secret comes from a seed, and nothing reads a clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import nacl.public

from peerstack import keys
from peerstack.errors import Reason
from peerstack.groups.effect import Standing
from peerstack.groups.rules import Admitted, Held, Quarantined, RecordVerdict, judge_record
from peerstack.groups.seals import End, seal_root
from peerstack.groups.statements import group_id_fields, invite_proof_payload
from peerstack.identity import Fingerprint, device_id_fields, next_key_hash, user_id_fields
from peerstack.ids import compose as compose_id
from peerstack.keys import Label, Signer, sha256
from peerstack.record import Signed
from tests.groups.folding import fold
from tests.people import INVITE_KEY, NOW, T0, Person, person, signer
from tests.vector_bodies import ULID, Case, accepted, refused
from tests.vector_linking import linking
from tests.vector_recovery import phrases, recovery
from tests.vector_story import Story, some

PATH: Final = Path(__file__).with_name("vectors.json")
Vector = dict[str, Any]

ABOUT: Final = [
    "Known answers for version 1 of peerstack's protocol. docs/protocol.md says what they mean.",
    "Bytes are written as lower-case hex, times as Unix milliseconds. All secrets are for tests.",
    "A body stands as its text in `body`, or as hex in `body_hex`, or in `body_parts`: texts, each",
    "with how often it is repeated, to be joined. Its bytes are that text in UTF-8, nothing else.",
    "`rule` names a line of the list of docs/protocol.md (B), or of docs/rules.md (others).",
]

# Made once, with a point of order 8 added to the key or to R: good only where the equation is
# checked times the cofactor, which no client may do.
MIXED_KEY: Final = (
    "99555efe5dbf5b50b6fb4d8c38ee05c4ea8a97011c08e11366e8c8c00e8ce5d5",
    "3e54c441927f9f0ee5e13e34f0b0404c5043651a8f4b7ef087a1c42262a85d0a"
    "352f4e9df532fc92619854684128377f33a4c81888dc1b5169d9142e5ef81d00",
)
MIXED_R: Final = (
    "88aa55e6afeed8960a3191de78600347db8acd0a3795412f275f049b86260488",
    "5b61c2e3b93e6c06450f327ea72cdfeb8cde6aa020d2dd827ab3f86e708c8393"
    "a9846be20ca1795dfe4100c77b52d543a9515198b8e9d6dc77745e0f7a2b4e01",
)


class Replay:
    """Entropy that was written down."""

    def __init__(self, *draws: bytes) -> None:
        self._draws = list(draws)

    def draw(self, size_bytes: int) -> bytes:
        drawn = self._draws.pop(0)
        assert len(drawn) == size_bytes
        return drawn


# --- Ids. -----------------------------------------------------------------------------------------


def ids() -> Vector:
    """Times and tails, spellings, and derived ids."""
    composed = [
        {"time_ms": time_ms, "tail": tail.hex(), "id": compose_id(time_ms, tail)}
        for time_ms, tail in (
            (0, bytes(10)),
            (1, bytes(9) + b"\x01"),
            (1_469_918_176_385, bytes(range(10))),
            (T0, some("tail", 10)),
            (2**48 - 1, b"\xff" * 10),
        )
    ]
    spellings = {
        "lower case": ULID.lower(),
        "look-alike letters": ULID.replace("0", "O").replace("1", "I"),
        "U is no letter of Crockford's": ULID.replace("W", "U"),
        "more than 128 bits": "8" + ULID[1:],
        "short": ULID[:-1],
        "long": ULID + "0",
        "a hyphen": ULID[:10] + "-" + ULID[10:],
    }
    return {
        "composed": composed,
        "refused": [{"text": text, "comment": why} for why, text in spellings.items()],
        "derived": list(_derived_ids()),
    }


def _derived_ids() -> Iterator[Vector]:
    ana, group = person("ana"), person("ana").founds(T0 + 100)
    root, name = ana.root.public, ana.user.name
    next_hash = bytes.fromhex(ana.user.statements[0].value["next"])
    device_key = ana.user.device_key.public
    for what, label, parts, fields, time_ms in (
        (
            "user: root key, hash of the next, name",
            Label.USER_ID,
            (root, next_hash, name.encode()),
            user_id_fields(root, next_hash, name),
            T0,
        ),
        (
            "device: user id, device key",
            Label.DEVICE_ID,
            (ana.id.encode(), device_key),
            device_id_fields(ana.id, device_key),
            T0 + 1,
        ),
        (
            "group: user id of the founder, nonce",
            Label.GROUP_ID,
            (ana.id.encode(), bytes.fromhex(group.value["nonce"])),
            group_id_fields(ana.id, bytes.fromhex(group.value["nonce"])),
            T0 + 100,
        ),
    ):
        yield {
            "comment": what,
            "label": label.value.hex(),
            "parts": [part.hex() for part in parts],
            "framed": fields.hex(),
            "time_ms": time_ms,
            "salt": sha256(label.value, time_ms.to_bytes(8, "big"))[:16].hex(),
            "id": keys.derive_id(label, fields, time_ms),
        }


def fingerprints() -> list[Vector]:
    """What two people compare."""
    found = (Fingerprint(each.id, each.root.public) for each in map(person, ("ana", "ben")))
    return [
        {"user": each.user, "root": each.root.hex(), "words": each.words, "digits": each.digits}
        for each in found
    ]


# --- Keys. ----------------------------------------------------------------------------------------


def key_vectors() -> Vector:
    """Key pairs, derived secrets, boxes and signatures."""
    seeds = [bytes(32), b"\xff" * 32, some("seed")]
    secret = some("secret")
    return {
        "ed25519": [{"seed": s.hex(), "public": Signer(s).public.hex()} for s in seeds],
        "x25519": [{"seed": s.hex(), "public": keys.BoxKey(s).public.hex()} for s in seeds],
        "next_key_hash": _next_key_hash(some("next key seed")),
        "derived": [
            _derived_secret(secret, Label.INVITE_KEY),
            _derived_secret(secret, Label.INVITE_TOPIC),
            _derived_secret(secret, Label.ROOT_KEY),
            _derived_secret(secret, Label.TOPIC, b"ab", b"c"),
            _derived_secret(secret, Label.TOPIC, b"a", b"bc"),
            _derived_secret(secret, Label.TAG, b""),
        ],
        "pairs": [_pair(some("one device"), some("another device"))],
        "boxes": [_box(b""), _box(b"hello"), _box("é😀".encode())],
        "sealed": [_sealed(b""), _sealed(b"hello")],
        "signatures": list(_signatures()),
    }


def _next_key_hash(seed: bytes) -> Vector:
    public = Signer(seed).public
    return {"seed": seed.hex(), "public": public.hex(), "hash": next_key_hash(public).hex()}


def _derived_secret(secret: bytes, label: Label, *context: bytes) -> Vector:
    return {
        "secret": secret.hex(),
        "label": label.value.hex(),
        "context": [part.hex() for part in context],
        "result": keys.derive(secret, label, *context).hex(),
    }


def _pair(one: bytes, other: bytes) -> Vector:
    group = "01J8Z0000000000000000000AB"
    return {
        "seeds": [one.hex(), other.hex()],
        "publics": [Signer(one).public.hex(), Signer(other).public.hex()],
        "group": group,
        "secret": Signer(one).pair_untrusted(Signer(other).public, group.encode()).hex(),
    }


def _box(message: bytes) -> Vector:
    key, nonce = keys.Secret(some("box key")), some("box nonce", 24)
    box = keys.seal(key, message, Replay(nonce))
    return {"key": key.hex(), "nonce": nonce.hex(), "message": message.hex(), "box": box.hex()}


def _sealed(message: bytes) -> Vector:
    recipient, sender, nonce = some("recipient"), some("sender"), some("sealed nonce", 24)
    public = keys.BoxKey(recipient).public
    return {
        "recipient_seed": recipient.hex(),
        "recipient": public.hex(),
        "sender_seed": sender.hex(),
        "sender": bytes(nacl.public.PrivateKey(sender).public_key).hex(),
        "nonce": nonce.hex(),
        "message": message.hex(),
        "sealed": keys.seal_to(public, message, Replay(sender, nonce)).hex(),
    }


def _signatures() -> Iterator[Vector]:
    key, payload = Signer(some("signing seed")), sha256(b"payload")
    good = key.sign(Label.RECORD, payload)
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(good[32:], "little") + order
    small = b"\x01" + bytes(31)
    for comment, public, signature in (
        ("holds", key.public, good),
        ("of another label", key.public, key.sign(Label.INVITE, payload)),
        ("of another key", signer("other").public, good),
        ("garbage", key.public, bytes(64)),
        (
            "S is not below L (RFC 8032, 5.1.7)",
            key.public,
            good[:32] + scalar.to_bytes(32, "little"),
        ),
        ("a key of small order", small, small + bytes(32)),
        (
            "a key with a part of small order",
            bytes.fromhex(MIXED_KEY[0]),
            bytes.fromhex(MIXED_KEY[1]),
        ),
        ("an R with a part of small order", bytes.fromhex(MIXED_R[0]), bytes.fromhex(MIXED_R[1])),
        ("65 bytes", key.public, good + b"\0"),
        ("63 bytes", key.public, good[:-1]),
    ):
        yield {
            "comment": comment,
            "public": public.hex(),
            "label": Label.RECORD.value.hex(),
            "payload": payload.hex(),
            "signature": signature.hex(),
            "holds": comment == "holds",
        }


# --- Bodies. --------------------------------------------------------------------------------------


def bodies() -> Vector:
    """What is well formed, with hash and signature, and what is not, with the reason."""
    key = person("ana").user.device_key
    return {
        "seed": key.seed.hex(),
        "public": key.public.hex(),
        "accept": [_accepted(case, key) for case in accepted()],
        "refuse": [
            {"rule": c.rule, "comment": c.comment, "reason": c.reason, **_body(c)}
            for c in refused()
        ],
        "signature_forms": [
            {"comment": "empty", "signature": "", "reason": Reason.MALFORMED},
            {"comment": "scheme 1, short", "signature": "01" * 64, "reason": Reason.MALFORMED},
            {"comment": "scheme 1, long", "signature": "01" * 66, "reason": Reason.MALFORMED},
            {"comment": "scheme 0", "signature": "00" * 65, "reason": Reason.UNKNOWN_SCHEME},
            {"comment": "scheme 2", "signature": "02" * 99, "reason": Reason.UNKNOWN_SCHEME},
        ],
    }


def _accepted(case: Case, key: Signer) -> Vector:
    digest = sha256(case.encoded())
    return {
        "rule": case.rule,
        "comment": case.comment,
        **_body(case),
        "hash": digest.hex(),
        "signature": "01" + key.sign(Label.RECORD, digest).hex(),
    }


def _body(case: Case) -> Vector:
    if isinstance(case.body, bytes):
        return {"body_hex": case.body.hex()}
    return {"body" if isinstance(case.body, str) else "body_parts": case.body}


# --- Statements. ----------------------------------------------------------------------------------


def statements(story: Story) -> Vector:
    """One statement of each form, and what they prove and decide."""
    return {
        "told": [
            {
                "name": name,
                "type": signed.type,
                "seed": key.seed.hex(),
                "public": key.public.hex(),
                "body": signed.body.decode(),
                "hash": signed.hash.hex(),
                "signature": signed.signature.hex(),
            }
            for name, signed, key in story.told()
        ],
        "proof": _proof(story.bo, story.invite, story.join),
        "seals": list(_seals()),
        "forms_refused": list(_forms_refused(story)),
    }


def _proof(newcomer: Person, invite: Signed, join: Signed) -> Vector:
    device = newcomer.user.device
    payload = invite_proof_payload(invite.hash, invite.group, newcomer.id, device, join.modified)
    return {
        "invite_seed": INVITE_KEY.seed.hex(),
        "invite_key": INVITE_KEY.public.hex(),
        "label": Label.INVITE.value.hex(),
        "payload": payload.hex(),
        "proof": join.value["proof"],
    }


def _seals() -> Iterator[Vector]:
    """Hashes as they were found, and what a seal over them has as count and root."""
    one, other, third = (sha256(name) for name in (b"one", b"other", b"third"))
    for found in ([], [one], [one, other, third], [third, other, one], [one, other, one]):
        hashes = set(found)
        yield {
            "hashes": [each.hex() for each in found],
            "count": len(hashes),
            "root": seal_root(hashes).hex(),
        }


def _forms_refused(story: Story) -> Iterator[Vector]:
    cases: list[tuple[str, str, Signed, Callable[[Vector], Vector]]] = [
        ("I1", "an unknown field", story.inception, lambda v: v | {"more": 1}),
        ("I1", "a name of 129 characters", story.inception, lambda v: v | {"name": "x" * 129}),
        ("I1", "an empty name", story.inception, lambda v: v | {"name": ""}),
        ("I1", "hex in capitals", story.inception, lambda v: v | {"key": v["key"].upper()}),
        ("I4", "65 kept certificates", story.rotate, lambda v: v | {"keeps": v["keeps"] * 65}),
        ("I4", "a field is missing", story.certificate, lambda v: {"key": v["key"]}),
        ("S1", "a nonce of 15 bytes", story.founding, lambda v: {"nonce": v["nonce"][2:]}),
        ("S1", "a role that there is not", story.invite, lambda v: v | {"role": "owner"}),
        ("S1", "no use", story.invite, lambda v: v | {"uses": 0}),
        ("S1", "10001 uses", story.invite, lambda v: v | {"uses": 10_001}),
        ("S1", "an end that is null", story.invite, lambda v: v | {"expires": None}),
        ("J1", "an invite without its proof", story.join, lambda v: {"invite": v["invite"]}),
        ("S1", "a count below 0", story.close, lambda v: v | {"count": -1}),
        ("S1", "a close without its root", story.close, lambda v: {**v, "root": None}),
        ("S1", "a part that is no integer", story.seal, lambda v: v | {"part": 0.5}),
        ("S1", "801 hashes in a part", story.seal, lambda v: v | {"hashes": v["hashes"][:1] * 801}),
    ]
    for rule, comment, signed, change in cases:
        body = json.loads(signed.body)
        changed = body | {"value": change(body["value"])}
        text = json.dumps(changed, separators=(",", ":"))
        yield {"rule": rule, "comment": comment, "reason": Reason.MALFORMED, "body": text}
    for rule, signed in (("I4", story.revoke), ("S1", story.close)):
        text = json.dumps(json.loads(signed.body) | {"modified": 2**47}, separators=(",", ":"))
        comment = "dated so that nothing can be later"
        yield {"rule": rule, "comment": comment, "reason": Reason.MALFORMED, "body": text}


def verdicts(story: Story) -> Vector:
    """What a device that has every statement of the story makes of some records."""
    told = [signed for _, signed, _ in story.told()]
    state = fold(story.founding.group, told).state
    return {
        "group": story.founding.group,
        "now_ms": NOW,
        "members": {user: role.label for user, role in sorted(state.members().items())},
        "grants": [_grant(each) for mine in state.effect.standing.values() for each in mine],
        "records": [
            {
                "rule": rule,
                "comment": comment,
                "body": record.body.decode(),
                "signature": record.signature.hex(),
                "verdict": verdict_text(judge_record(state, record, NOW)),
            }
            for rule, comment, record in story.records()
        ],
    }


def _grant(standing: Standing) -> Vector:
    grant = standing.grant
    return {
        "statement": grant.hash.hex(),
        "user": grant.user,
        "role": grant.role.label,
        "since_ms": grant.since_ms,
        "end": end_fields(standing.end),
        "records_end": end_fields(standing.records_end),
    }


def end_fields(end: End | None) -> Vector | None:
    """Where a right ends, and what stays of it."""
    if end is None:
        return None
    named = sorted(each.hex() for each in end.named)
    return {"at_ms": end.at_ms, "by": end.by.hex(), "sealed": end.sealed, "named": named}


def verdict_text(verdict: RecordVerdict) -> str:
    """ "admitted", "held", "held until" a time, "quarantined", or the reason of the refusal."""
    if isinstance(verdict, Admitted):
        return "admitted"
    if isinstance(verdict, Quarantined):
        return "quarantined"
    if isinstance(verdict, Held):
        return "held" if verdict.until_ms is None else f"held until {verdict.until_ms}"
    return verdict.reason.value


def _recovery() -> Vector:
    nonce = some("kit nonce", 24)
    return recovery(some("kit secret"), nonce, Replay(nonce))


def vectors() -> str:
    """The whole file."""
    story = Story()
    content = {
        "about": ABOUT,
        "protocol": 1,
        "labels": {label.name: label.value.hex() for label in Label},
        "ids": ids(),
        "fingerprints": fingerprints(),
        "keys": key_vectors(),
        "bodies": bodies(),
        "statements": statements(story),
        "verdicts": verdicts(story),
        "phrases": phrases(bytes(32), b"\x7f" * 32, b"\xff" * 32, some("phrase")),
        "recovery": _recovery(),
        "linking": linking(person("ana"), some("link"), (some("old nonce"), some("new nonce"))),
    }
    return json.dumps(content, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    PATH.write_text(vectors(), encoding="ascii")
