"""`wire`: golden frames, and nothing but `RemoteError` for what is not one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.signaling import wire

TOPIC = bytes(range(32))
TOPIC64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

GOLDEN = [
    (wire.Join((TOPIC,)), "join", {"topics": [TOPIC64]}),
    (wire.Leave(()), "leave", {"topics": []}),
    (wire.Announce(TOPIC, b"box"), "announce", {"topic": TOPIC64, "box": "Ym94"}),
    (wire.Signal("addr", b"box"), "signal", {"to": "addr", "box": "Ym94"}),
    (wire.AskIce(), "ice", {}),
]
GOLDEN_EVENTS = [
    (
        wire.Welcome("addr", 20_000, 1, 1_024, 32_768),
        '42["welcome",{"address":"addr","day":20000,"version":1,"topics_max":1024,'
        '"box_bytes_max":32768}]',
    ),
    (wire.DayChanged(20_001), '42["day",{"day":20001}]'),
    (
        wire.Announced(TOPIC, b"box", "addr"),
        f'42["announce",{{"topic":"{TOPIC64}","box":"Ym94","sender":"addr"}}]',
    ),
    (wire.Signaled(b"box", "addr"), '42["signal",{"box":"Ym94","sender":"addr"}]'),
    (wire.Again(20), '42["again",{"spread_ms":20}]'),
    (wire.Closing(20), '42["closing",{"spread_ms":20}]'),
    (
        wire.Problem(wire.Refusal.TOO_FAST, "wait 5 ms", 5),
        '42["problem",{"error":"too-fast","detail":"wait 5 ms","wait_ms":5}]',
    ),
]


@pytest.mark.parametrize(("request_", "name", "body"), GOLDEN)
def test_requests_have_known_forms(request_: Any, name: str, body: dict[str, Any]) -> None:
    assert wire.name(request_) == name
    assert json.loads(json.dumps(wire.body(request_))) == body
    assert wire.decode_untrusted_request(name, (body,)) == request_


@pytest.mark.parametrize(("event", "frame"), GOLDEN_EVENTS)
def test_events_have_known_frames(event: Any, frame: str) -> None:
    assert wire.event_frame(event) == frame.encode()
    assert wire.is_from_server(frame[1:])
    assert wire.decode_untrusted_event(wire.name(event), (wire.body(event),)) == event


def test_a_problem_answers_a_request_by_its_id() -> None:
    problem = wire.Problem(wire.Refusal.FULL)

    assert wire.problem_frame("17", problem) == b'4317[{"error":"full"}]'
    assert wire.decode_untrusted_answer({"error": "full"}, wire.Done) == problem


def test_unknown_fields_are_left_to_later_versions() -> None:
    assert wire.decode_untrusted_request("ice", ({"later": 1},)) == wire.AskIce()


@pytest.mark.parametrize("ms", [0, wire.DAY_MS - 1, wire.DAY_MS])
def test_days_begin_at_midnight_utc(ms: int) -> None:
    assert wire.day_of(ms) == (ms == wire.DAY_MS)


def test_frames_of_devices_are_known_by_their_first_characters() -> None:
    assert wire.decode_untrusted_frame('4212["join",{}]') == wire.Frame(ack="12")
    assert wire.decode_untrusted_frame("41").leaving
    for admissible in ("3", "40", "40{}"):
        assert wire.decode_untrusted_frame(admissible).refusal is None


def test_an_oversize_request_can_still_be_answered() -> None:
    frame = wire.decode_untrusted_frame('429["join",' + " " * limits.SIGNALING_MESSAGE_BYTES)

    assert frame == wire.Frame(ack="9", refusal=wire.Refusal.TOO_LARGE)


# --- Whatever comes. ------------------------------------------------------------------------------
# A message that is read is one of the known types, and says the same when it is written again.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["topics", "topic", "box", "to", "error", "day", "event", "x"]), inner
        )
    ),
    max_leaves=12,
)
names = st.sampled_from(
    ["join", "leave", "announce", "signal", "ice", "welcome", "problem", "closing", "day", "?"]
)
topics = st.binary(min_size=limits.TOPIC_BYTES, max_size=limits.TOPIC_BYTES)
boxes = st.binary(min_size=1, max_size=200)
addresses = st.text(min_size=1, max_size=wire.ADDRESS_CHARS)
counts = st.integers(0, limits.INTEGER_MAX)
some_topics = st.lists(topics, max_size=3).map(tuple)
requests = st.one_of(
    st.builds(wire.Join, some_topics),
    st.builds(wire.Leave, some_topics),
    st.builds(wire.Announce, topics, boxes),
    st.builds(wire.Signal, addresses, boxes),
    st.builds(wire.AskIce),
)
events = st.one_of(
    st.builds(wire.Welcome, addresses, st.integers(0, 10_000_000), counts, counts, counts),
    st.builds(wire.DayChanged, st.integers(0, 10_000_000)),
    st.builds(wire.Announced, topics, boxes, addresses),
    st.builds(wire.Signaled, boxes, addresses),
    st.builds(wire.Again, counts),
    st.builds(wire.Closing, counts),
    st.builds(wire.Problem, st.sampled_from(wire.Refusal), st.text(max_size=50), counts),
)
answers = st.one_of(
    st.builds(wire.Done),
    st.builds(wire.Delivery, st.booleans()),
    st.builds(
        wire.IceServers,
        st.lists(
            st.builds(
                wire.IceServer,
                st.lists(st.text(max_size=50), max_size=2).map(tuple),
                st.text(max_size=50),
                st.text(max_size=50),
            ),
            max_size=2,
        ).map(tuple),
        counts,
    ),
)
ANSWERS: list[type[Any]] = [wire.Done, wire.Delivery, wire.IceServers]


def as_sent(message: Any) -> Any:
    """The content of a message, as it is once it has crossed as JSON."""
    return json.loads(msgspec.json.encode(wire.body(message)))


def read(decode: Callable[..., Any], *given: Any) -> Any:
    """What some content is read as; `None` where it is refused, which has but one reason."""
    try:
        return decode(*given)
    except RemoteError as refused:
        reason = refused.reason
    assert reason is Reason.MALFORMED
    return None


def check_request(name: str, arguments: tuple[Any, ...]) -> bool:
    request = read(wire.decode_untrusted_request, name, arguments)
    if request is not None:
        assert isinstance(request, wire.Request)
        assert wire.name(request) == name
        assert wire.decode_untrusted_request(name, (as_sent(request),)) == request
    return request is not None


def check_event(name: str, arguments: tuple[Any, ...]) -> bool:
    event = read(wire.decode_untrusted_event, name, arguments)
    if event is not None:
        assert isinstance(event, wire.Event)
        assert wire.name(event) == name
        assert wire.decode_untrusted_event(name, (as_sent(event),)) == event
    return event is not None


def check_answer(answer: Any, kind: type[Any]) -> bool:
    found = read(wire.decode_untrusted_answer, answer, kind)
    if found is not None:
        assert isinstance(found, (kind, wire.Problem))
        assert wire.decode_untrusted_answer(as_sent(found), kind) == found
    return found is not None


@st.composite
def damaged(draw: st.DrawFn, messages: st.SearchStrategy[Any]) -> tuple[str, Any]:
    """The name and the content of a good message, of which one field is gone or says another."""
    message = draw(messages)
    content = as_sent(message)
    field = draw(st.sampled_from([*content, "later"]))
    harm = draw(st.sampled_from(["lose", "replace", "retype", "cut", "lengthen"]))
    value = content.pop(field, "")
    match harm:
        case "replace":
            content[field] = draw(json_values)
        case "retype":
            content[field] = [value]
        case "cut":
            content[field] = value[:-1] if isinstance(value, str | list) else -1
        case "lengthen":
            content[field] = value * 2 if isinstance(value, str | list) else 2**60
    return wire.name(message), content


@given(names, st.lists(json_values, max_size=2))
def test_whatever_arrives_is_refused_or_read_as_what_it_says(
    name: str, arguments: list[Any]
) -> None:
    check_request(name, tuple(arguments))
    check_event(name, tuple(arguments))


@given(json_values, st.sampled_from(ANSWERS))
def test_whatever_is_answered_is_refused_or_read_as_what_it_says(
    answer: Any, kind: type[Any]
) -> None:
    check_answer(answer, kind)


@given(requests, events, answers)
def test_what_may_be_said_is_read_as_it_was_said(request: Any, event: Any, answer: Any) -> None:
    assert wire.decode_untrusted_request(wire.name(request), (as_sent(request),)) == request
    assert wire.decode_untrusted_event(wire.name(event), (as_sent(event),)) == event
    assert wire.decode_untrusted_answer(as_sent(answer), type(answer)) == answer
    assert wire.is_from_server(wire.event_frame(event)[1:].decode())


@given(damaged(requests))
def test_a_damaged_request_is_refused_or_read_as_what_it_says(message: tuple[str, Any]) -> None:
    check_request(message[0], (message[1],))


@given(damaged(events))
def test_a_damaged_event_is_refused_or_read_as_what_it_says(message: tuple[str, Any]) -> None:
    check_event(message[0], (message[1],))


@given(damaged(answers), st.sampled_from(ANSWERS))
def test_a_damaged_answer_is_refused_or_read_as_what_it_says(
    message: tuple[str, Any], kind: type[Any]
) -> None:
    check_answer(message[1], kind)


@pytest.mark.parametrize(("messages", "check"), [
    (damaged(requests), lambda name, content: check_request(name, (content,))),
    (damaged(events), lambda name, content: check_event(name, (content,))),
    (damaged(answers), lambda _, content: check_answer(content, wire.IceServers)),
])  # fmt: skip
def test_some_damage_is_refused_and_some_leaves_a_good_message(
    messages: st.SearchStrategy[Any], check: Callable[..., bool]
) -> None:
    """So that the properties above are about both."""
    find(messages, lambda message: check(*message))
    find(messages, lambda message: not check(*message))


SHORTER64 = base64.b64encode(TOPIC[1:]).decode()
LONGER64 = base64.b64encode(TOPIC + b"1").decode()
SURPLUS = "A" * 4 * limits.BOX_BYTES
BREACHES: dict[str, list[Any]] = {
    "topics": [None, "", [None], [SHORTER64], [LONGER64], [TOPIC64] * 1_025, {}],
    "topic": [None, 7, "", SHORTER64, LONGER64, "!" * 44],
    "box": [None, 7, "", "A", SURPLUS],
    "to": [None, 7, "", "a" * 65],
    "address": [None, 7, "", "a" * 65],
    "sender": [None, 7, "", "a" * 65],
    "day": [None, "1", -1, 1.5, 10_000_001],
    "version": [None, "1", -1, 2**53],
    "topics_max": [None, "1", -1, 2**53],
    "box_bytes_max": [None, "1", -1, 2**53],
    "spread_ms": [None, "1", -1, 2**53],
    "wait_ms": [None, "1", -1, 2**53],
    "error": [None, 7, "no such refusal"],
    "detail": [None, 7, "d" * 501],
}


@pytest.mark.parametrize("message", [each[0] for each in [*GOLDEN, *GOLDEN_EVENTS]], ids=wire.name)
def test_every_field_is_needed_and_bounded(message: Any) -> None:
    is_event = isinstance(message, wire.Event)
    check = check_event if is_event else check_request
    content, optional = as_sent(message), {"detail", "wait_ms"}
    assert check(wire.name(message), (content,))

    for field in content:
        less = {name: value for name, value in content.items() if name != field}
        assert check(wire.name(message), (less,)) is (field in optional)
        for value in BREACHES[field]:
            assert not check(wire.name(message), ({**content, field: value},)), (field, value)


# --- Frames. --------------------------------------------------------------------------------------


def request_frame(request: Any) -> str:
    content = json.dumps([wire.name(request), as_sent(request)], separators=(",", ":"))
    return f"4217{content}"


@st.composite
def damaged_frames(draw: st.DrawFn, frames: st.SearchStrategy[str]) -> str:
    """A good frame in which a few characters are others, gone or more."""
    frame = draw(frames)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(frame)))
        gone = draw(st.integers(0, 2))
        put = draw(st.text(alphabet='0123456789[]{}"-/,:joinceval\n', max_size=2))
        frame = frame[:start] + put + frame[start + gone :]
    return frame


def check_frame(text: str) -> bool:
    """Whether a frame is let through; then it is a request, or keeps alive what is there."""
    frame = wire.decode_untrusted_frame(text)
    if frame.refusal is not None:
        assert frame.refusal in {wire.Refusal.MALFORMED, wire.Refusal.TOO_LARGE}
        return False
    assert re.match(r'([13]|4[01])\Z|40\{|42\d{1,10}\["[a-z]+"[,\]]', text)
    assert frame.leaving is (text in {"1", "41"})
    assert bool(frame.ack) is text.startswith("42")
    if frame.ack:
        assert text.startswith(f"42{frame.ack}[")
        check_said(text.removeprefix(f"42{frame.ack}"))
    return True


def check_said(content: str, check: Callable[..., bool] = check_request) -> None:
    try:
        # As both sides read it: lone surrogates, which `json` lets through, come no further.
        name, *arguments = orjson.loads(content)
    except ValueError:
        return
    check(name, tuple(arguments))


def check_packet(frame: str) -> bool:
    """Whether a device takes a frame for one of a server; then so it is read."""
    let_through = frame[:1] == "4" and wire.is_from_server(frame[1:])
    if let_through and frame.startswith("42"):
        assert re.match(r'42\["[a-z]+"[,\]]', frame)
        check_said(frame[2:], check_event)
    return let_through


sent_to_server = damaged_frames(requests.map(request_frame))
sent_to_device = damaged_frames(events.map(lambda event: wire.event_frame(event).decode()))


@given(st.text(alphabet='0123456789[]{}"-/,joinceval\n', max_size=40))
def test_no_frame_reaches_the_parser_but_a_request_or_a_keep_alive(text: str) -> None:
    check_frame(text)


@given(sent_to_server, sent_to_device)
def test_a_damaged_frame_is_refused_or_read_as_what_it_says(request: str, event: str) -> None:
    check_frame(request)
    check_packet(event)


@pytest.mark.parametrize(
    ("frames", "check"), [(sent_to_server, check_frame), (sent_to_device, check_packet)]
)
def test_some_damaged_frames_are_let_through_and_some_are_not(
    frames: st.SearchStrategy[str], check: Callable[[str], bool]
) -> None:
    find(frames, check)
    find(frames, lambda frame: not check(frame))
