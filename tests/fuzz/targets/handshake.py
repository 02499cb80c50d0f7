"""A handshake with somebody who has another's messages, but no key: it proves nothing else."""

from __future__ import annotations

from peerstack.errors import RemoteError
from peerstack.identity import User
from peerstack.ports import Instant
from peerstack.session.handshake import Handshake, Me
from peerstack.session.wire import Proof, decode_untrusted
from peerstack.testing.ports import SeededEntropy
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target
from tests.people import NOW, person

_NOW = Instant(0, NOW)
_ANA, _BO = person("ana").user, person("bo").user


def run(data: bytes) -> None:
    """First who dialled; then messages, each genuine (in full, or with one byte changed) or not."""
    reader = Reader(data)
    dialled = reader.flag()
    victim = _side(_ANA, "victim", dialled=dialled)
    genuine = _side(_BO, "genuine", dialled=not dialled)
    hello, opening = genuine.open(), victim.open()
    (proof,), _ = genuine.receive_untrusted(opening, _NOW)
    accepted: list[bytes] = []
    while reader:
        message = _message(reader, (hello, proof, opening))
        try:
            _, proven = victim.receive_untrusted(message, _NOW)
        except RemoteError:
            return
        accepted.append(message)
        if proven is not None:
            assert accepted[0] == hello
            assert (proven.user, proven.device) == (_BO.id, _BO.device)
            assert proven.key == _BO.device_key.public
            assert _signature(message) == _signature(proof)
            return
        assert len(accepted) == 1, "a second message proves, or ends it"


def _signature(message: bytes) -> bytes:
    read = decode_untrusted(message)
    assert isinstance(read, Proof)
    return read.signature


def _side(user: User, seed: str, *, dialled: bool) -> Handshake:
    me = Me(user.id, user.device, user.device_key)
    return Handshake(me, dialled=dialled, binding=bytes(32), entropy=SeededEntropy(seed))


def _message(reader: Reader, known: tuple[bytes, ...]) -> bytes:
    match reader.number() % 4:
        case 0:
            return reader.chunk()
        case 1:
            changed = bytearray(reader.pick(known))
            changed[reader.number() % len(changed)] ^= reader.number()
            return bytes(changed)
    return reader.pick(known)


TARGET = Target("handshake", run, ("peerstack.session.handshake.Handshake.receive_untrusted",))
