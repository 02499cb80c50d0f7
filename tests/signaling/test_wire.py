"""`wire`: golden frames, and nothing but `RemoteError` for what is not one."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack import limits
from peerstack.errors import RemoteError
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
    assert wire.event_frame(event) == frame
    assert wire.is_from_server(frame[1:])
    assert wire.decode_untrusted_event(wire.name(event), (wire.body(event),)) == event


def test_a_problem_answers_a_request_by_its_id() -> None:
    problem = wire.Problem(wire.Refusal.FULL)

    assert wire.problem_frame("17", problem) == '4317[{"error":"full"}]'
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


@given(names, st.lists(json_values, max_size=2))
def test_whatever_arrives_only_remote_error_is_raised(name: str, arguments: list[Any]) -> None:
    for decode in (wire.decode_untrusted_request, wire.decode_untrusted_event):
        with suppress(RemoteError):
            decode(name, tuple(arguments))


@given(json_values)
def test_whatever_is_answered_only_remote_error_is_raised(answer: Any) -> None:
    with suppress(RemoteError):
        wire.decode_untrusted_answer(answer, wire.IceServers)


@given(st.text(alphabet='0123456789[]{}"-/,joinceval\n', max_size=40))
def test_no_frame_reaches_the_parser_but_a_request_or_a_keep_alive(text: str) -> None:
    if wire.decode_untrusted_frame(text).refusal is None:
        assert re.match(r'([13]|4[01])\Z|40\{|42\d+\["[a-z]+"[,\]]', text)
