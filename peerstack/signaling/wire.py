"""What a device and a signaling server say to each other: events, answers, named refusals.

The server shares this module, so it knows no user, group, device, key or record: topics and boxes
are opaque bytes here. It knows the frames' form, but neither sockets nor socket.io.

Everything is JSON in text frames. Bytes travel as base64, since a binary attachment costs socket.io
a second frame and lets the sender make the receiver wait for parts. Every request carries an
acknowledgement id and is answered once at most, by its answer or by a `Problem`.
"""

from __future__ import annotations

import enum
import re
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from peerstack import limits
from peerstack.errors import Reason, RemoteError

VERSION: Final = 1
DAY_MS: Final = 24 * 60 * 60 * 1000
ADDRESS_CHARS: Final = 64
DETAIL_CHARS: Final = 500
ICE_SERVERS: Final = 16

ACCESS_TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]{1,200}")
"""What needs no escaping, neither in a URL nor in a header (RFC 3986, section 2.3)."""

Topic = Annotated[bytes, Meta(min_length=limits.TOPIC_BYTES, max_length=limits.TOPIC_BYTES)]
"""A meeting place: 32 bytes that mean nothing to the server."""

Box = Annotated[bytes, Meta(min_length=1, max_length=limits.BOX_BYTES)]
"""Something sealed that the server relays and cannot open."""

SentBox = Annotated[bytes, Meta(min_length=1, max_length=limits.SIGNALING_MESSAGE_BYTES)]
"""A box from a device: one that is too large by the server's rules is to be told just that."""

Address = Annotated[str, Meta(min_length=1, max_length=ADDRESS_CHARS)]
"""A connection on the server: random, new for each connection, tied to nobody."""

Day = Annotated[int, Meta(ge=0, le=10_000_000)]
"""Days since 1970-01-01 UTC, as the server tells it."""

Count = Annotated[int, Meta(ge=0, le=limits.INTEGER_MAX)]
Text = Annotated[str, Meta(max_length=DETAIL_CHARS)]
Topics = Annotated[tuple[Topic, ...], Meta(max_length=limits.TOPICS_PER_CONNECTION)]


class Refusal(enum.StrEnum):
    """Why the server did not do what was asked. Stable."""

    MALFORMED = "malformed"
    TOO_LARGE = "too-large"
    TOO_FAST = "too-fast"
    TOO_MANY_TOPICS = "too-many-topics"
    TOPIC_FULL = "topic-full"
    NOT_JOINED = "not-joined"
    UNAUTHORIZED = "unauthorized"
    BAD_ORIGIN = "bad-origin"
    TOO_MANY_CONNECTIONS = "too-many-connections"
    FULL = "full"
    CLOSING = "closing"
    UNAVAILABLE = "unavailable"


# --- From a device, and the answers. ------------------------------------------------------------


class Join(Struct, frozen=True):
    """Enter topics: all of them, or none. Answered by `Done`."""

    topics: Topics


class Leave(Struct, frozen=True):
    """Leave topics; those not entered are passed over. Answered by `Done`."""

    topics: Topics


class Announce(Struct, frozen=True):
    """Relay `box` to everyone else in a topic that was entered. Answered by `Done`."""

    topic: Topic
    box: SentBox


class Signal(Struct, frozen=True):
    """Relay `box` to one address. Answered by `Delivery`."""

    to: Address
    box: SentBox


class AskIce(Struct, frozen=True):
    """Ask for STUN and TURN servers. Answered by `IceServers`."""


Request = Join | Leave | Announce | Signal | AskIce


class Done(Struct, frozen=True):
    """It was done."""


class Delivery(Struct, frozen=True):
    """`delivered` is False when nobody has the address (any more)."""

    delivered: bool


class IceServer(Struct, frozen=True, omit_defaults=True):
    """One entry for WebRTC's list of STUN and TURN servers."""

    urls: Annotated[tuple[Text, ...], Meta(max_length=ICE_SERVERS)]
    username: Text = ""
    credential: Text = ""


class IceServers(Struct, frozen=True):
    """Servers whose credentials end `lifetime_s` seconds after the answer."""

    servers: Annotated[tuple[IceServer, ...], Meta(max_length=ICE_SERVERS)]
    lifetime_s: Count


class Problem(Struct, frozen=True, omit_defaults=True):
    """A refusal, as the answer to a request or, when the request could not be read, as an event."""

    error: Refusal
    detail: Text = ""
    wait_ms: Count = 0
    """After how long asking again may succeed; 0 if waiting does not help."""


# --- From the server. ---------------------------------------------------------------------------


class Welcome(Struct, frozen=True):
    """The first event of a connection: its address, the day, and the server's bounds."""

    address: Address
    day: Day
    version: Count
    topics_max: Count
    box_bytes_max: Count


class DayChanged(Struct, frozen=True):
    """It is midnight UTC at the server: topics of the new day's neighbours are due."""

    day: Day


class Announced(Struct, frozen=True):
    """Someone at `sender` announced `box` in a topic. The server fills in the sender."""

    topic: Topic
    box: Box
    sender: Address


class Signaled(Struct, frozen=True):
    """Someone at `sender` sent `box` here. The server fills in the sender."""

    box: Box
    sender: Address


class Again(Struct, frozen=True):
    """Not all may have heard what was announced. Do it again at a random moment in `spread_ms`."""

    spread_ms: Count


class Closing(Struct, frozen=True):
    """The server goes down. Come back at a random moment within `spread_ms`."""

    spread_ms: Count


Event = Welcome | DayChanged | Announced | Signaled | Again | Closing | Problem
T = TypeVar("T")

_REQUESTS: Final[dict[str, type[Struct]]] = {
    "join": Join,
    "leave": Leave,
    "announce": Announce,
    "signal": Signal,
    "ice": AskIce,
}
_EVENTS: Final[dict[str, type[Struct]]] = {
    "welcome": Welcome,
    "day": DayChanged,
    "announce": Announced,
    "signal": Signaled,
    "again": Again,
    "closing": Closing,
    "problem": Problem,
}
_NAMES: Final = {kind: name for kinds in (_REQUESTS, _EVENTS) for name, kind in kinds.items()}


def _as_asked(kind: type[Struct]) -> msgspec.json.Decoder[Any]:
    """Reads a request as it stands in a frame, event and content, in one go."""
    parts: list[tuple[str, Any] | tuple[str, Any, Any]]
    parts = [("event", str), ("content", kind | UnsetType, UNSET)]
    asked = msgspec.defstruct("Asked", parts, array_like=True, forbid_unknown_fields=True)
    return msgspec.json.Decoder(asked)


_ASKED: Final = {name: _as_asked(kind) for name, kind in _REQUESTS.items()}


def day_of(wall_ms: int) -> int:
    """Days since 1970-01-01 UTC at a Unix time in milliseconds."""
    return wall_ms // DAY_MS


def body(message: Struct) -> dict[str, Any]:
    """The JSON object of a message."""
    plain: dict[str, Any] = msgspec.to_builtins(message)
    return plain


def name(message: Struct) -> str:
    """The event name under which a message travels; answers have none."""
    return _NAMES.get(type(message), "")


def decode_untrusted_request(event: str, arguments: tuple[object, ...]) -> Request:
    """A device's request from an event's name and its arguments, already bounded in size.

    Raises `RemoteError`, whatever it is given.
    """
    request: Request = _message(event, arguments, _REQUESTS)
    return request


def decode_untrusted_question(text: str, frame: Frame) -> Request:
    """A device's request from a frame that asks something under `frame.ack`.

    Raises `RemoteError`, whatever it is given.
    """
    begin = len(_EVENT) + len(frame.ack)
    try:
        event = text[begin + len('["') : text.index('"', begin + len('["'))]
        content: Request | UnsetType = _ASKED[event].decode(text[begin:]).content
    except (ValueError, LookupError, RecursionError) as error:
        raise RemoteError(Reason.MALFORMED, str(error)[:DETAIL_CHARS]) from None
    return decode_untrusted_request(event, ()) if content is UNSET else content


def decode_untrusted_event(event: str, arguments: tuple[object, ...]) -> Event:
    """A server's event from its name and its arguments, already bounded in size.

    Raises `RemoteError`, whatever it is given.
    """
    told: Event = _message(event, arguments, _EVENTS)
    return told


def decode_untrusted_answer(answer: object, kind: type[T]) -> T | Problem:
    """The answer to a request: of the kind that was asked for, or a `Problem`.

    Raises `RemoteError`, whatever it is given.
    """
    if isinstance(answer, dict) and "error" in answer:
        problem: Problem = _convert(answer, Problem)
        return problem
    wanted: T = _convert(answer, kind)
    return wanted


def _message(event: str, arguments: tuple[object, ...], kinds: dict[str, type[Struct]]) -> Any:
    content = arguments[0] if arguments else {}
    kind = kinds.get(event)
    if kind is None or len(arguments) > 1 or not isinstance(content, dict):
        raise RemoteError(Reason.MALFORMED, f"{event[:16]!r} is unknown, or takes one object")
    return _convert(content, kind)


def _convert(value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except (ValueError, RecursionError) as error:
        raise RemoteError(Reason.MALFORMED, str(error)[:DETAIL_CHARS]) from None


# --- Frames: the part of engine.io 4 and socket.io 5 that is spoken. ----------------------------
# https://socket.io/docs/v4/socket-io-protocol/
# Anything else (binary attachments, other namespaces, events that would be taken for the library's
# own "connect" and "disconnect") is refused by its first characters, before it is parsed.

PING_FRAME: Final = "2"
"""How a server asks for a sign of life."""

_EVENT: Final = "42"
_ADMISSION: Final = "40"
"""So begins what asks to be let in, and what says that one is."""

_LEAVING: Final = frozenset({"1", "41"})
_TO_SERVER: Final = re.compile(
    r'[13]\Z|4[01]\Z|40\{|42([0-9]{1,10})\["(?:join|leave|announce|signal|ice)"[,\]]'
)
_TO_DEVICE: Final = re.compile(
    r'0\{|1\Z|4\{|3[0-9]{1,10}\[|2\["(?:welcome|day|announce|signal|again|closing|problem)"[,\]]'
)


_encode: Final = msgspec.json.Encoder().encode


class Frame(Struct, frozen=True):
    """What the size and the first characters of a frame from a device say."""

    ack: str = ""
    """The id under which a request is to be answered, if it is one."""
    leaving: bool = False
    refusal: Refusal | None = None


def decode_untrusted_frame(text: str) -> Frame:
    """Judge a frame from a device before any of it is parsed. Raises nothing."""
    found = _TO_SERVER.match(text)
    if found is None:
        return Frame(refusal=Refusal.MALFORMED)
    ack = found[1] or ""
    if len(text) > limits.SIGNALING_MESSAGE_BYTES:
        return Frame(ack, refusal=Refusal.TOO_LARGE)
    return Frame(ack, leaving=found[0] in _LEAVING)


def is_from_server(packet: str) -> bool:
    """Whether a socket.io packet, without engine.io's first character, may come from a server."""
    return _TO_DEVICE.match(packet) is not None


def is_admission(text: str) -> bool:
    """Whether a frame asks to be let in or, from a server, says that one is."""
    return text.startswith(_ADMISSION)


def event_frame(event: Struct) -> bytes:
    """An event as one text frame."""
    return b'42["%b",%b]' % (name(event).encode(), _encode(event))


def answer_frame(ack: str, answer: Struct) -> bytes:
    """The answer to a request as one text frame."""
    return b"43%b[%b]" % (ack.encode(), _encode(answer))


def problem_frame(ack: str, problem: Problem) -> bytes:
    """A problem as one text frame: the answer to a request, or an event without an `ack`."""
    return answer_frame(ack, problem) if ack else event_frame(problem)
