"""The known answers in `tests/vectors.json` are those of this code, and each of them holds.

What can be worked out from the standard library and libsodium alone is worked out here once more,
so that a mistake in the code cannot hide behind vectors that the same code made.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import msgspec
import nacl.bindings
import nacl.pwhash.argon2id
import nacl.signing
import pytest
from mnemonic import Mnemonic

from peerstack import limits
from peerstack.errors import InvalidPhrase, Reason, RemoteError
from peerstack.groups.rules import judge_record
from peerstack.groups.statements import group_form_untrusted
from peerstack.identity import identity_form_untrusted, is_identity_type
from peerstack.identity.phrase import decode_untrusted_phrase
from peerstack.ids import as_group, is_record_id, is_ulid
from peerstack.keys import BoxKey, Label, Secret, SignatureCheck, Signer, open_untrusted
from peerstack.record import Body, decode_untrusted
from tests.groups.device_model import Ended
from tests.groups.effect_model import Model
from tests.groups.folding import fold
from tests.make_vectors import PATH, vectors, verdict_text

Vector = dict[str, Any]
TEXT = PATH.read_text(encoding="ascii")
ALL: Vector = json.loads(TEXT)
BODIES, STATEMENTS, KEYS = ALL["bodies"], ALL["statements"], ALL["keys"]
UNCHECKED = b"\x01" + bytes(64)
EVERY_FORM = {"$user", "$rotate", "$device", "$revoke", "$group", "$invite"} | {
    "$join",
    "$admit",
    "$grant",
    "$close",
    "$seal",
}


def shown(vector: Vector) -> str:
    return ": ".join(str(vector[name]) for name in ("rule", "comment", "name") if name in vector)


def body_of(vector: Vector) -> bytes:
    if "body_hex" in vector:
        return bytes.fromhex(vector["body_hex"])
    parts = vector.get("body_parts") or [[vector["body"], 1]]
    return b"".join(text.encode() * count for text, count in parts)


def unhex(vector: Vector, *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


def framed(parts: list[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def signs(public: bytes, message: bytes, signature: bytes) -> bool:
    return nacl.bindings.crypto_sign_open(signature + message, public) == message


def test_the_code_makes_this_very_file() -> None:
    assert vectors() == TEXT, "if the protocol was meant to change: python -m tests.make_vectors"


def test_every_label_is_in_the_file() -> None:
    assert {name: bytes.fromhex(each) for name, each in ALL["labels"].items()} == {
        label.name: label.value for label in Label
    }


# --- Ids and keys. --------------------------------------------------------------------------------


def in_base_32(number: int) -> str:
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(letters[number >> shift & 31] for shift in range(125, -1, -5))


@pytest.mark.parametrize("vector", ALL["ids"]["composed"], ids=lambda v: v["id"])
def test_an_id_is_its_time_and_tail_in_base_32(vector: Vector) -> None:
    tail = bytes.fromhex(vector["tail"])

    assert in_base_32(vector["time_ms"] << 80 | int.from_bytes(tail, "big")) == vector["id"]
    assert is_ulid(vector["id"])


@pytest.mark.parametrize("vector", ALL["ids"]["refused"], ids=shown)
def test_a_spelling_is_refused(vector: Vector) -> None:
    assert not is_record_id(vector["text"])


@pytest.mark.parametrize("vector", ALL["ids"]["derived"], ids=shown)
def test_a_derived_id_is_80_bits_of_argon2id(vector: Vector) -> None:
    label, fields, salt = unhex(vector, "label", "framed", "salt")
    time_ms = vector["time_ms"]
    kdf = nacl.pwhash.argon2id.kdf
    tag = kdf(32, label + fields, salt, opslimit=1, memlimit=16 * 1024 * 1024)

    assert framed([bytes.fromhex(part) for part in vector["parts"]]) == fields
    assert hashlib.sha256(label + time_ms.to_bytes(8, "big")).digest()[:16] == salt
    assert in_base_32(time_ms << 80 | int.from_bytes(tag[:10], "big")) == vector["id"]


@pytest.mark.parametrize("vector", ALL["fingerprints"], ids=lambda v: v["user"])
def test_a_fingerprint_is_99_bits_of_argon2id_as_words_and_as_digits(vector: Vector) -> None:
    label = bytes.fromhex(ALL["labels"]["FINGERPRINT"])
    user, root = vector["user"].encode(), bytes.fromhex(vector["root"])
    salt = hashlib.sha256(label + user).digest()[:16]
    kdf = nacl.pwhash.argon2id.kdf
    tag = kdf(32, label + framed([user, root]), salt, opslimit=1, memlimit=16 * 1024 * 1024)
    bits = "".join(f"{byte:08b}" for byte in tag)
    word_list = Mnemonic("english").wordlist

    places = [int(bits[start : start + 11], 2) for start in range(0, 9 * 11, 11)]
    groups = [int.from_bytes(tag[start : start + 5], "big") for start in range(0, 6 * 5, 5)]

    assert [word_list[place] for place in places] == vector["words"].split(" ")
    assert [f"{group % 100_000:05}" for group in groups] == vector["digits"].split(" ")


@pytest.mark.parametrize("vector", KEYS["ed25519"], ids=lambda v: v["seed"][:8])
def test_a_seed_gives_a_signing_key(vector: Vector) -> None:
    public, _ = nacl.bindings.crypto_sign_seed_keypair(bytes.fromhex(vector["seed"]))

    assert public.hex() == vector["public"]


@pytest.mark.parametrize("vector", KEYS["x25519"], ids=lambda v: v["seed"][:8])
def test_a_seed_gives_a_key_to_seal_to(vector: Vector) -> None:
    public = nacl.bindings.crypto_scalarmult_base(bytes.fromhex(vector["seed"]))

    assert public.hex() == vector["public"]


def test_the_commitment_to_a_next_key_is_a_labelled_hash() -> None:
    (public,) = unhex(KEYS["next_key_hash"], "public")
    label = bytes.fromhex(ALL["labels"]["NEXT_KEY"])

    assert hashlib.sha256(label + public).hexdigest() == KEYS["next_key_hash"]["hash"]


@pytest.mark.parametrize("vector", KEYS["derived"], ids=lambda v: v["label"][24:])
def test_a_derived_secret_is_an_hmac(vector: Vector) -> None:
    secret, label = unhex(vector, "secret", "label")
    message = label + framed([bytes.fromhex(part) for part in vector["context"]])

    assert hmac.digest(secret, message, "sha256").hex() == vector["result"]


@pytest.mark.parametrize("vector", KEYS["pairs"], ids=lambda v: v["group"])
def test_two_devices_share_the_hmac_of_an_agreement(vector: Vector) -> None:
    seeds, publics = (list(map(bytes.fromhex, vector[name])) for name in ("seeds", "publics"))
    message = b"peerstack/1 pair\0" + framed([vector["group"].encode()])
    for seed, public in zip(seeds, reversed(publics), strict=True):
        mine = nacl.signing.SigningKey(seed).to_curve25519_private_key()
        theirs = nacl.signing.VerifyKey(public).to_curve25519_public_key()
        shared = nacl.bindings.crypto_scalarmult(bytes(mine), bytes(theirs))

        assert hmac.digest(shared, message, "sha256").hex() == vector["secret"]


@pytest.mark.parametrize("vector", KEYS["boxes"], ids=lambda v: v["message"])
def test_a_box_is_nonce_and_secretbox(vector: Vector) -> None:
    key, nonce, message, box = unhex(vector, "key", "nonce", "message", "box")

    assert nonce + nacl.bindings.crypto_secretbox(message, nonce, key) == box
    assert open_untrusted(Secret(key), box) == message


@pytest.mark.parametrize("vector", KEYS["sealed"], ids=lambda v: v["message"])
def test_a_sealed_message_is_a_key_a_nonce_and_a_box(vector: Vector) -> None:
    recipient, seed, public, nonce = unhex(vector, "recipient", "sender_seed", "sender", "nonce")
    message, sealed = unhex(vector, "message", "sealed")

    assert public + nonce + nacl.bindings.crypto_box(message, nonce, recipient, seed) == sealed
    assert BoxKey(bytes.fromhex(vector["recipient_seed"])).open_untrusted(sealed) == message


@pytest.mark.parametrize("vector", KEYS["signatures"], ids=shown)
def test_a_signature_holds_or_does_not(vector: Vector) -> None:
    public, payload, signature = unhex(vector, "public", "payload", "signature")
    label = Label(bytes.fromhex(vector["label"]))

    assert SignatureCheck(public, label, payload, signature).holds() is vector["holds"]


# --- Bodies. --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", BODIES["accept"], ids=shown)
def test_a_well_formed_body_is_accepted_with_this_hash_and_signature(vector: Vector) -> None:
    body, (public,) = body_of(vector), unhex(BODIES, "public")
    signature = bytes.fromhex(vector["signature"])
    digest = hashlib.sha256(body).digest()

    signed = decode_untrusted(body, signature)

    assert signed.hash == digest == bytes.fromhex(vector["hash"])
    assert signature[0] == 1
    assert signs(public, b"peerstack/1 record\0" + digest, signature[1:])


@pytest.mark.parametrize("vector", BODIES["refuse"], ids=shown)
def test_a_body_that_is_not_well_formed_is_refused_with_this_reason(vector: Vector) -> None:
    with pytest.raises(RemoteError) as refused:
        decode_untrusted(body_of(vector), UNCHECKED)

    assert refused.value.reason.value == vector["reason"]


@pytest.mark.parametrize("vector", BODIES["signature_forms"], ids=shown)
def test_a_signature_of_another_form_is_refused(vector: Vector) -> None:
    with pytest.raises(RemoteError) as refused:
        decode_untrusted(body_of(BODIES["accept"][0]), bytes.fromhex(vector["signature"]))

    assert refused.value.reason.value == vector["reason"]


def test_every_line_of_the_list_of_what_is_well_formed_has_a_body_to_refuse() -> None:
    lines = {f"B{number}" for number in range(1, 22)}

    assert {vector["rule"] for vector in BODIES["refuse"]} == lines
    assert {vector["rule"] for vector in BODIES["accept"]} <= lines


def test_the_bodies_stand_at_the_very_edge_on_both_sides() -> None:
    fine = {len(body_of(vector)) for vector in BODIES["accept"]}
    wrong = {len(body_of(vector)) for vector in BODIES["refuse"]}

    assert limits.BODY_BYTES in fine
    assert limits.BODY_BYTES + 1 in wrong
    assert max(fine) == limits.BODY_BYTES


# --- Statements. ----------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", STATEMENTS["told"], ids=shown)
def test_a_statement_is_signed_as_it_says(vector: Vector) -> None:
    seed, public, digest, signature = unhex(vector, "seed", "public", "hash", "signature")

    assert hashlib.sha256(body_of(vector)).digest() == digest
    assert Signer(seed).public == public
    assert signs(public, b"peerstack/1 record\0" + digest, signature[1:])


def test_one_statement_of_each_form_is_told_and_each_is_admitted() -> None:
    told = [decode_untrusted(body_of(v), bytes.fromhex(v["signature"])) for v in STATEMENTS["told"]]
    known = fold(as_group(ALL["verdicts"]["group"]), told)

    assert {each.type for each in told} == EVERY_FORM
    assert known.held == {}
    assert known.refused == {}


def test_an_invites_proof_is_for_this_group_newcomer_device_and_time() -> None:
    proof = STATEMENTS["proof"]
    by_type = {vector["type"]: vector for vector in STATEMENTS["told"]}
    join = next(json.loads(v["body"]) for v in STATEMENTS["told"] if v["name"].startswith("Bo's c"))
    key, label, payload, signature = unhex(proof, "invite_key", "label", "payload", "proof")

    assert json.loads(by_type["$invite"]["body"])["value"]["key"] == key.hex()
    assert join["value"] == {"invite": by_type["$invite"]["hash"], "proof": signature.hex()}
    assert payload == framed(
        [
            bytes.fromhex(join["value"]["invite"]),
            join["group"].encode(),
            join["signer"].encode(),
            join["device"].encode(),
            join["modified"].to_bytes(8, "big"),
        ]
    )
    assert signs(key, label + payload, signature)


@pytest.mark.parametrize("vector", STATEMENTS["seals"], ids=lambda v: f"{v['count']}")
def test_a_seal_is_known_by_the_number_and_the_hash_of_its_hashes(vector: Vector) -> None:
    hashes = {bytes.fromhex(each) for each in vector["hashes"]}

    assert vector["count"] == len(hashes)
    assert vector["root"] == hashlib.sha256(b"".join(sorted(hashes))).hexdigest()


def test_closes_commit_to_the_seals_that_were_made_for_them() -> None:
    """A removal does; what its author ends for themselves, and an invite, have no seal to name."""
    told = {v["hash"]: json.loads(v["body"]) for v in STATEMENTS["told"]}
    parts = [each["value"] for each in told.values() if each["type"] == "$seal"]
    closes = {name: each for name, each in told.items() if each["type"] == "$close"}

    assert len(closes) == 4
    for name, close in closes.items():
        mine = [part for part in parts if part["ends"] == name]
        hashes = sorted(bytes.fromhex(each) for part in mine for each in part["hashes"])
        root = hashlib.sha256(b"".join(hashes)).hexdigest()
        assert {(part["count"], part["root"]) for part in mine} <= {(len(hashes), root)}
        target = told[close["value"]["target"]]
        removes = target["type"] == "$grant" and target["value"]["user"] != close["signer"]
        committed = (close["value"]["count"], close["value"]["root"])
        assert committed == ((len(hashes), root) if removes else (0, hashlib.sha256().hexdigest()))


@pytest.mark.parametrize("vector", STATEMENTS["forms_refused"], ids=shown)
def test_a_statement_of_another_form_is_refused(vector: Vector) -> None:
    signed = decode_untrusted(body_of(vector), UNCHECKED)
    read = identity_form_untrusted if is_identity_type(signed.type) else group_form_untrusted

    with pytest.raises(RemoteError) as refused:
        read(signed)

    assert refused.value.reason is Reason.MALFORMED


# --- Recovery. ------------------------------------------------------------------------------------


def bits_of(words: str) -> str:
    places = {word: place for place, word in enumerate(Mnemonic("english").wordlist)}
    return "".join(f"{places[word]:011b}" for word in words.split())


@pytest.mark.parametrize("vector", ALL["phrases"]["accept"], ids=lambda v: v["seed"][:8])
def test_a_phrase_is_its_seed_and_8_bits_of_its_hash(vector: Vector) -> None:
    (seed,), bits = unhex(vector, "seed"), bits_of(vector["words"])

    assert int(bits, 2) == int.from_bytes(seed + hashlib.sha256(seed).digest()[:1], "big")
    assert len(bits) == 264
    label = bytes.fromhex(ALL["labels"]["KIT"])
    assert hmac.digest(seed, label, "sha256").hex() == vector["kit_key"]
    assert decode_untrusted_phrase(vector["words"]) == seed
    public, _ = nacl.bindings.crypto_sign_seed_keypair(seed)
    commitment = hashlib.sha256(bytes.fromhex(ALL["labels"]["NEXT_KEY"]) + public)
    assert commitment.hexdigest() == vector["next"]


@pytest.mark.parametrize("vector", ALL["phrases"]["refuse"], ids=shown)
def test_words_that_are_no_phrase_are_refused(vector: Vector) -> None:
    with pytest.raises(InvalidPhrase):
        decode_untrusted_phrase(vector["words"])


def test_a_kit_opens_with_its_phrase_and_says_what_it_was_given() -> None:
    vector = ALL["recovery"]
    seed = int(bits_of(vector["phrase"]), 2) >> 8
    key = hmac.digest(seed.to_bytes(32, "big"), bytes.fromhex(ALL["labels"]["KIT"]), "sha256")
    file = json.loads(vector["kit"])
    box, (nonce,) = base64.b64decode(file.pop("box")), unhex(vector, "kit_nonce")

    content = json.loads(nacl.bindings.crypto_secretbox_open(box[24:], nonce, key))

    assert file == {"peerstack": "recovery kit", "version": 1}
    assert box[:24] == nonce
    assert content.keys() == {"statements", "whereabouts"}
    (group,) = content["whereabouts"]["groups"]
    assert base64.b64decode(group["secret"]).hex() == vector["kit_secret"]
    bodies = [base64.b64decode(body) for body, _ in content["statements"]]
    assert bodies == [body_of(each) for each in vector["told"][:4]]


@pytest.mark.parametrize("vector", ALL["recovery"]["told"], ids=shown)
def test_a_statement_about_a_recovered_user_is_signed_as_it_says(vector: Vector) -> None:
    test_a_statement_is_signed_as_it_says(vector)


def test_what_a_recovery_says_is_read_alike() -> None:
    vector = ALL["recovery"]
    told = [decode_untrusted(body_of(v), bytes.fromhex(v["signature"])) for v in vector["told"]]
    known = fold(as_group(told[0].signer), reversed(told))
    identity = known.state.identities[told[0].signer]

    assert not known.held
    assert not known.refused
    found = sorted(identity.devices.values(), key=lambda each: each.since_ms)
    assert [
        {"device": each.id, "key": each.key.hex(), "since": each.since_ms, "end": each.end_ms}
        for each in found
    ] == vector["devices"]
    assert sorted(identity.certified.keys() - identity.devices.keys()) == vector["not_counting"]
    assert (identity.head.hex(), identity.root.hex(), identity.next.hex()) == (
        vector["head"],
        vector["root"],
        vector["next"],
    )


def test_the_story_of_a_recovery_shows_every_case() -> None:
    vector = ALL["recovery"]
    rotation = next(each for each in vector["told"] if each["type"] == "$rotate")
    at_ms = json.loads(rotation["body"])["modified"]
    under = [v for v in vector["told"] if rotation["hash"] in v["body"]]

    assert {each["type"] for each in under} == {"$device", "$revoke"}
    assert {json.loads(each["body"])["modified"] < at_ms for each in under} == {True, False}
    assert [each["end"] for each in vector["devices"]].count(None) == 2
    assert len(vector["not_counting"]) == 1


# --- Verdicts. ------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", ALL["verdicts"]["records"], ids=shown)
def test_a_record_is_judged_so(vector: Vector) -> None:
    told = [decode_untrusted(body_of(v), bytes.fromhex(v["signature"])) for v in STATEMENTS["told"]]
    state = fold(as_group(ALL["verdicts"]["group"]), told).state
    record = decode_untrusted(body_of(vector), bytes.fromhex(vector["signature"]))

    verdict = judge_record(state, record, ALL["verdicts"]["now_ms"])

    assert verdict_text(verdict) == vector["verdict"]
    assert {user: role.label for user, role in state.members().items()} == ALL["verdicts"][
        "members"
    ]


# --- Linking a device. ----------------------------------------------------------------------------


def test_a_link_says_what_the_new_device_needs() -> None:
    vector = ALL["linking"]["link"]
    encoded = vector["text"].removeprefix("peerstack:link:")
    raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))

    assert hashlib.sha256(raw[:-4]).digest()[:4] == raw[-4:]
    assert msgspec.msgpack.decode(raw[:-4]) == [
        1,
        bytes.fromhex(vector["seed"]),
        vector["user"],
        vector["made_ms"],
        vector["user_name"],
        vector["servers"],
    ]
    topic = hmac.digest(bytes.fromhex(vector["seed"]), Label.LINK_TOPIC.value, "sha256")
    assert topic.hex() == vector["topic"]


def test_digits_are_worked_out_from_both_nonces_and_whom_they_stand_for() -> None:
    vector = ALL["linking"]
    topic = bytes.fromhex(vector["link"]["topic"])
    transcript, old_key, new_key, old_nonce, new_nonce = unhex(
        vector, "transcript", "old_key", "device_key", "old_nonce", "new_nonce"
    )
    name = vector["name"].encode()

    committed = Label.LINK_COMMIT.value + framed([transcript])
    whom = framed([transcript, old_key, new_key, name, old_nonce, new_nonce])
    mixed = hmac.digest(topic, Label.LINK_DIGITS.value + whom, "sha256")

    assert hmac.digest(new_nonce, committed, "sha256").hex() == vector["commitment"]
    number = int.from_bytes(mixed[:8], "big") % 1_000_000
    assert f"{number:06}" == vector["digits"].replace(" ", "")
    assert vector["digits"][3] == " "


def test_the_messages_of_linking_are_arrays_of_number_and_fields() -> None:
    vector = ALL["linking"]
    commitment, old_nonce, new_nonce = unhex(vector, "commitment", "old_nonce", "new_nonce")
    said = [bytes.fromhex(each["bytes"]) for each in vector["messages"]]

    assert all(each[0] == 0 for each in said)
    assert [msgspec.msgpack.decode(each[1:]) for each in said] == [
        [13, commitment, vector["name"]],
        [14, old_nonce],
        [15, new_nonce],
        [16, "refused"],
        [17, False],
        [18, b"\1" * 32, b"\2" * 32],
        [18, None, None],
        [17, True],
        [16, "complete"],
    ]


def test_grants_stand_and_end_so() -> None:
    """Asked of the rules as their page has them, and not of the code that made the file."""
    told = [decode_untrusted(body_of(v), bytes.fromhex(v["signature"])) for v in STATEMENTS["told"]]
    model = Model(ALL["verdicts"]["group"], told)

    def fields(end: Ended | None) -> Vector | None:
        if end is None:
            return None
        named = sorted(end.named)
        return {"at_ms": end.at, "by": end.by, "sealed": end.sealed, "named": named}

    standing = [each for each in model.grants().values() if model.stands(each)]
    found = [
        {
            "statement": each.name,
            "user": each.user,
            "role": each.role,
            "since_ms": each.t,
            "end": fields(model.end(each, False)),
            "records_end": fields(model.end(each, True)),
        }
        for each in standing
    ]
    assert sorted(found, key=str) == sorted(ALL["verdicts"]["grants"], key=str)


def test_a_body_has_no_field_that_the_vectors_do_not_show() -> None:
    shown_fields = {name for v in BODIES["accept"] if "body" in v for name in json.loads(v["body"])}

    assert shown_fields == set(Body.__struct_fields__)
