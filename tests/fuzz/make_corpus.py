"""Makes the corpus: real messages, links, kits and files, in the form that the targets read.

Run `python -m tests.fuzz.make_corpus [TARGET]...` from the top of the checkout. The same code
makes the same files: all of it comes from seeds and from `tests/vectors.json`. An input that is too
long for its target, or that enters no code that another does not enter too, is left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from random import Random
from types import FrameType
from typing import Any, Final

import msgspec
from nacl import bindings

from peerstack.groups.invites import decode_untrusted_link
from peerstack.identity.linking import decode_untrusted_device_link
from peerstack.keys import Secret, open_untrusted
from peerstack.node.keyfile import Keys, encode_keys
from peerstack.session.wire import decode_untrusted
from peerstack.signaling import wire as signaling
from peerstack.testing.world import World
from peerstack.transport.sdp import Candidate, Description, Role, encode
from tests.fuzz.family import family
from tests.fuzz.reader import chunk
from tests.fuzz.registry import CORPUS, TARGETS
from tests.fuzz.target import Target
from tests.fuzz.targets import backup as backup_target
from tests.fuzz.targets import kit as kit_target
from tests.fuzz.targets import statement as statement_target
from tests.fuzz.targets.notes_file import KINDS
from tests.make_vectors import PATH as VECTORS
from tests.people import person
from tests.signaling.meeting import DAY
from tests.test_kit import FAMILY, PHONE, WHERE, sealed

_ALL: Final[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="ascii"))
_packed: Final = msgspec.msgpack.Encoder().encode
Trait = tuple[str, int, str]
_DRAWN: Final = 150
"""Inputs drawn from a seed for a target whose inputs are steps."""


def main() -> None:
    """Write the corpus anew: of the targets that are named, or of all."""
    for target in map(TARGETS.__getitem__, sys.argv[1:] or TARGETS):
        folder = CORPUS / target.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for data in worth_keeping(target, candidates(target.name)):
            (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


def worth_keeping(target: Target, given: Iterable[bytes]) -> Iterator[bytes]:
    """Those that bring about in the product what none before them has."""
    seen: set[Trait] = set()
    target.run(b"")  # What is made once is made now, and counts for no input.
    for data in sorted(set(given), key=lambda each: (len(each), each)):
        traits = _traits(target, data) if len(data) <= target.bytes_max else set()
        if not traits <= seen:
            seen |= traits
            yield data


def _traits(target: Target, data: bytes) -> set[Trait]:
    """The lines of the product that an input enters, with what types come back and what is raised.

    Much of the decoding happens in libraries that are not Python, where lines show nothing.
    """
    found: set[Trait] = set()

    def trace(frame: FrameType, event: str, about: Any) -> Any:
        if not frame.f_globals.get("__name__", "").startswith(("peerstack", "family_notes")):
            return None
        detail = ""
        if event == "return":
            detail = type(about).__name__
        elif event == "exception":
            detail = re.sub(r"[^A-Za-z ]+", "", f"{about[0].__name__} {about[1]}")[:60]
        found.add((frame.f_code.co_filename, frame.f_lineno, event + detail))
        return trace

    sys.settrace(trace)
    try:
        target.run(data)
    finally:
        sys.settrace(None)
    return found


def candidates(name: str) -> Iterator[bytes]:
    """Real inputs of a target, and for one whose inputs are steps, others drawn from a seed."""
    if name in _REAL:
        yield from _REAL[name]()
    if name in _STEPS:
        chance = Random(name)
        for number in range(_DRAWN):
            steps = bytes(
                chance.choice((chance.randrange(256), chance.randrange(8)))
                for _ in range(chance.randrange(8, 400))
            )
            yield bytes([number % 2]) + steps


# --- What is real. --------------------------------------------------------------------------------


def _messages() -> Iterator[bytes]:
    yield from family().traffic
    for each in _ALL["linking"]["messages"]:
        yield bytes.fromhex(each["bytes"])


def _sessions() -> Iterator[bytes]:
    known = family()
    plain = [b"\0" + _packed(_on_first_channel(each)) for each in known.traffic]
    for count in range(1, len(plain), 3):
        yield b"\0\0" + b"".join(map(chunk, plain[:count]))
    for each in plain:
        yield b"\1\1" + chunk(each)
        yield b"\0\1" + chunk(each) * 2


def _on_first_channel(data: bytes) -> Any:
    message = decode_untrusted(data)
    if "channel" in message.__struct_fields__:
        return msgspec.structs.replace(message, channel=0)
    return message


def _bodies() -> Iterator[bytes]:
    for each in (*_ALL["bodies"]["accept"], *_ALL["bodies"]["refuse"]):
        yield _body_of(each)
    known = family()
    yield from (each.body for each in (*known.records, *known.statements))


def _body_of(vector: dict[str, Any]) -> bytes:
    if "body_hex" in vector:
        return bytes.fromhex(vector["body_hex"])
    parts = vector.get("body_parts") or [[vector["body"], 1]]
    return b"".join(text.encode() * count for text, count in parts)


def _statements() -> Iterator[bytes]:
    bodies = [_body_of(each) for each in _ALL["statements"]["told"]]
    bodies += [_body_of(each) for each in _ALL["statements"]["forms_refused"]]
    for body in bodies:
        fields = msgspec.json.decode(body)
        kind, value = fields["type"], json.dumps(fields["value"]).encode()
        place = statement_target.TYPES.index(kind) if kind in statement_target.TYPES else 11
        for time in range(len(statement_target.TIMES)):
            yield bytes([place, time, "device" not in fields]) + value
            yield bytes([place, time, "device" in fields]) + value


def _links() -> Iterator[bytes]:
    world = World("links")
    ana = world.device("ana")
    invite = ana.invite(ana.create_group("Family"))
    yield b"\0\0" + invite.encode()
    yield b"\0\1" + _packed(decode_untrusted_link(invite))
    text = _ALL["linking"]["link"]["text"]
    yield b"\1\0" + text.encode()
    yield b"\1\1" + _packed(decode_untrusted_device_link(text))
    yield b"\0\1" + _packed([1])


def _phrases() -> Iterator[bytes]:
    for each in (*_ALL["phrases"]["accept"], *_ALL["phrases"]["refuse"]):
        yield each["words"].encode()


def _kits() -> Iterator[bytes]:
    file = sealed(*PHONE.user.statements)
    box = msgspec.json.decode(file)["box"]
    content = open_untrusted(Secret(kit_target.KEY), msgspec.convert(box, bytes))
    yield b"\0" + file
    yield b"\0" + file.replace(b'"version":1', b'"version":2')
    yield b"\1" + content
    yield b"\1" + sealed_content(PHONE.writes(FAMILY).body)
    yield b"\1{}"


def _backups() -> Iterator[bytes]:
    keys = encode_keys(Keys(person("ana").user))
    first = msgspec.json.encode({"keys": msgspec.to_builtins(keys), "database_bytes": 8})
    content = len(first).to_bytes(4, "big") + first + b"database"
    head = backup_target.HEAD + backup_target.STREAM
    for part in (content, content[:-1], content[:2], content[:30], b"\0\0\0\2{}", b"\xff" * 9):
        yield bytes([backup_target.CONTENT]) + part
        yield bytes([backup_target.CHUNKS]) + _chunks(part)
    yield bytes([backup_target.CHUNKS]) + _chunks(content) + b"behind"
    yield bytes([backup_target.CHUNKS]) + _chunks(content, b"")[:-1]
    # The key of a file takes a while, and no input but these has the head that asks for one.
    for file in (head + bytes(20), head[:20], head.replace(b"\1", b"\2"), b"no backup"):
        yield bytes([backup_target.FILE]) + file


def _chunks(*parts: bytes) -> bytes:
    """What `seal` writes behind its heads, but for a key and heads that are always the same."""
    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    # Both ways begin alike, and only this one takes the head that it is given.
    bindings.crypto_secretstream_xchacha20poly1305_init_pull(
        state, backup_target.STREAM, backup_target.KEY
    )
    last = len(parts)
    return b"".join(
        bindings.crypto_secretstream_xchacha20poly1305_push(
            state,
            part,
            ad=backup_target.HEAD,
            tag=bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL if place == last else 0,
        )
        for place, part in enumerate((b"", *parts))
    )


def sealed_content(body: bytes) -> bytes:
    """The content of a kit with a statement that is none."""
    statement = [msgspec.to_builtins(body), msgspec.to_builtins(b"\1" + bytes(64))]
    return msgspec.json.encode(
        {"statements": [statement], "whereabouts": msgspec.to_builtins(WHERE)}
    )


def _files() -> Iterator[bytes]:
    rows = io.BytesIO()
    for record in family().records:
        rows.write(msgspec.json.encode({"type": record.type, "value": record.value}) + b"\n")
    yield b"\0\0" + rows.getvalue()
    yield b"\1\1" + b'\n{"title": "Milk"}\n{"n": 1e400}\n'
    yield b'\0\0{"type": "$user", "value": {}}\n{"type": 1}\n'
    yield b'\0\0{"type": "note", "value": []}\n'


def _notes_files() -> Iterator[bytes]:
    keep = b'{"title": "Milk", "listContent": [{"text": "oat"}], "labels": [{"name": "shop"}]}'
    files = {
        "a.md": b"---\nlabels: a, b\npinned: yes\n---\n# Cake\n\nMix.\n\n- [ ] eggs\n- [x] milk\n",
        "b.json": keep,
        "c.jsonl": b'\n{"title": "Milk", "items": [{"text": "oat"}], "place": "bin"}\n[]\n',
    }
    for name, content in files.items():
        yield bytes([KINDS.index(name[2:])]) + content
    yield bytes([KINDS.index("json")]) + keep.replace(b"Milk", b"\\ud800")
    yield bytes([KINDS.index("json")]) + b"{"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        packed = _zip(files, method)
        yield bytes([0]) + packed
        yield bytes([0]) + packed.replace(b"PK\3\4", b"PK\3\5", 1)
        yield bytes([0]) + packed[:-1]


def _zip(files: dict[str, bytes], method: int) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, content in files.items():
            # With a time of its own, which is always the same.
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return written.getvalue()


def _sdps() -> Iterator[bytes]:
    candidates_ = (
        Candidate("1", 2130706431, "192.0.2.7", 40000, "host"),
        Candidate("2", 1694498815, "2001:db8::7", 40001, "srflx"),
    )
    described = Description("abcd", "p" * 22, bytes(range(32)), 5000, candidates_)
    for place, role in enumerate((Role.OFFER, Role.ANSWER)):
        text = encode(described, role)
        yield bytes([place]) + text.encode()
        yield bytes([place]) + text.replace("192.0.2.7", "224.0.0.1").encode()
        yield bytes([place]) + text.replace("2001:db8::7", "printer.local").encode()
        yield bytes([place]) + text.replace("size:65536", "size:100").encode()


def _boxes() -> Iterator[bytes]:
    peer = ["0" * 25 + "1", "0" * 25 + "2", _signer_key()]
    announcement = [peer, "address", b"n" * 16, b"k" * 32, None]
    greeting = [*announcement[:4], [b"e" * 16, 3, True]]
    description = _packed([peer, peer, b"n" * 16, b"e" * 16, 4, 0, "v=0 offer"])
    for body in (announcement, greeting):
        yield b"\1\2" + _packed(body)
    yield b"\1\1" + _packed([_packed(announcement), bytes(64)])
    yield b"\0\1" + _packed([0, b"t" * 32, b"box"])
    yield b"\0\1" + _packed([1, description, bytes(64)])
    yield b"\0\2\0" + description
    yield b"\0\2\xff" + description
    yield b"\0\0" + bytes(80)


def _signer_key() -> bytes:
    from tests.fuzz.targets.box import SIGNER

    return SIGNER.public


def _server_events() -> Iterator[bytes]:
    told = (
        signaling.Welcome("address", DAY, 1, 1024, 32768),
        signaling.DayChanged(DAY),
        signaling.Announced(b"t" * 32, b"box", "address"),
        signaling.Signaled(b"box", "address"),
        signaling.Closing(1000),
        signaling.Again(1000),
        signaling.Problem(signaling.Refusal.TOO_FAST, "wait", 100),
    )
    for event in told:
        yield b"\0" + signaling.event_frame(event)[1:]
    answers = (
        signaling.Done(),
        signaling.Delivery(True),
        signaling.IceServers((signaling.IceServer(("stun:192.0.2.1",)),), 60),
        signaling.Problem(signaling.Refusal.FULL),
    )
    for number, answer in enumerate(answers):
        content = msgspec.json.encode(signaling.body(answer))
        yield bytes([number]) + b"31[" + content + b"]"
    yield b'\x000{"sid":"x"}'
    yield b'\x004{"message":"no"}'
    yield b"\0001"


def _frames() -> Iterator[bytes]:
    asked = (
        signaling.Join((b"t" * 32, b"u" * 32)),
        signaling.Announce(b"t" * 32, b"box"),
        signaling.Signal("one", b"box"),
        signaling.AskIce(),
        signaling.Leave((b"t" * 32,)),
    )
    frames = [
        f'42{number}["{signaling.name(each)}",{msgspec.json.encode(signaling.body(each)).decode()}]'
        for number, each in enumerate(asked)
    ]
    frames += [
        "40{}",
        "3",
        "41",
        "1",
        '42["join"]',
        '421["nothing"]',
        '421["join",1,2]',
        '421["join"',
    ]
    for frame in frames:
        yield b"\0\1" + chunk(frame.encode())
    yield b"".join(bytes([n % 2, 1]) + chunk(each.encode()) for n, each in enumerate(frames))
    yield b"".join(bytes([n % 3, 0]) + chunk(frames[n % 5].encode()) for n in range(15))


def _handshakes() -> Iterator[bytes]:
    """All genuine; the proof changed in its signature, and in its time; the hello changed."""
    for dialled in range(2):
        for rest in (b"\2\1", b"\1\1\x10\1", b"\1\1\x48\1"):
            yield bytes([dialled]) + b"\2\0" + rest
        yield bytes([dialled]) + b"\1\0\x08\1" + b"\2\1"


def _crowds() -> Iterator[bytes]:
    """Five devices on all networks, and all of them in one topic."""
    come = b"".join(bytes([1, device, device]) for device in range(5))
    enter = b"".join(bytes([2, device, 1, 0]) for device in range(5))
    yield come + enter + bytes([4, 0, 0, 0, 9])
    yield come + b"".join(bytes([2, 0, 4, 0, 1, 2, 3]) for _ in range(2))


_REAL: Final[dict[str, Callable[[], Iterable[bytes]]]] = {
    "wire-message": _messages,
    "handshake": _handshakes,
    "rooms": _crowds,
    "session": _sessions,
    "body": _bodies,
    "statement": _statements,
    "link": _links,
    "phrase": _phrases,
    "kit": _kits,
    "backup": _backups,
    "import-file": _files,
    "notes-file": _notes_files,
    "sdp": _sdps,
    "box": _boxes,
    "server-event": _server_events,
    "device-frames": _frames,
    "forwarded": lambda: (
        b"\1\0\x00192.0.2.1",
        b"\0\0\x09192.0.2.1",
        b"\2\0\0::1, 2001:db8::1",
        b"\1",
    ),
    "crypto": lambda: (
        bytes([way, real]) + bytes(range(32)) for way in range(3) for real in range(2)
    ),
}
_STEPS: Final = {
    "handshake",
    "member",
    "linking",
    "reconciliation",
    "rendezvous",
    "rooms",
    "session",
}

if __name__ == "__main__":
    main()
