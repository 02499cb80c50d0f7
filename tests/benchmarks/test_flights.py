"""How round trips are counted, on exchanges written down by hand."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.flights import Event, round_trips
from peerstack.reconcile import Fingerprint, hashed_fingerprint
from peerstack.reconcile.wire import Message as RangesMessage
from peerstack.session.wire import Ack, Batch, Kind, Level, Message, Ranges

ROOT: Fingerprint = hashed_fingerprint([])
LEVEL = Level(0, ROOT, ROOT)
RANGES = Ranges(0, Kind.RECORDS, RangesMessage(b"", (), True))
RECORDS = Batch(0, Kind.RECORDS, 0, (b"body",), (b"signature",))
STATEMENTS = Batch(0, Kind.STATEMENTS, 0, (b"body",), (b"signature",))
ONE_WAY = 10.0

Said = tuple[float, str, Message]


def counted(*said: Said) -> float:
    return round_trips(events(*said), ONE_WAY)


def events(*said: Said) -> Iterator[Event]:
    for at, way, message in said:
        sender, receiver = way.split(">")
        yield Event(at, True, sender, receiver, message)
        yield Event(at + ONE_WAY, False, sender, receiver, message)


def test_levels_that_cross_are_half_a_round_trip() -> None:
    assert counted((0, "a>b", LEVEL), (3, "b>a", LEVEL)) == 0.5


def test_a_level_that_answers_a_level_makes_it_a_whole_one() -> None:
    assert counted((0, "a>b", LEVEL), (10, "b>a", LEVEL)) == 1


def test_a_side_that_begins_later_by_half_a_round_trip_makes_it_a_whole_one_too() -> None:
    """It answers nothing: what it waited for was part of the handshake."""
    assert counted((0, "a>b", LEVEL), (9, "b>a", LEVEL)) == 1


def test_a_record_counts_from_the_first_level_sent() -> None:
    crossed = (0, "a>b", LEVEL), (0, "b>a", LEVEL)
    assert counted(*crossed, (10, "a>b", RANGES), (20, "b>a", RECORDS)) == 1.5
    assert counted(*crossed, (10, "a>b", RANGES), (20, "b>a", RANGES), (30, "a>b", RECORDS)) == 2


def test_time_that_devices_work_is_no_flight() -> None:
    crossed = (0, "a>b", LEVEL), (0, "b>a", LEVEL)
    assert counted(*crossed, (95, "a>b", RANGES), (1_000, "b>a", RECORDS)) == 1.5


def test_what_follows_the_last_record_does_not_count() -> None:
    crossed = (0, "a>b", LEVEL), (0, "b>a", LEVEL)
    assert counted(*crossed, (10, "a>b", RECORDS), (20, "b>a", LEVEL), (30, "a>b", LEVEL)) == 1


def test_acknowledgements_keep_nobody_waiting_and_statements_are_no_records() -> None:
    crossed = (0, "a>b", LEVEL), (0, "b>a", LEVEL)
    said = (10, "a>b", STATEMENTS), (20, "b>a", Ack(0)), (30, "a>b", RECORDS)
    assert counted(*crossed, *said) == 1
