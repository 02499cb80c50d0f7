"""Items in batches, as they are sent."""

from __future__ import annotations

import random

import pytest

from peerstack import limits
from peerstack.ids import as_group
from peerstack.record import Signed
from peerstack.session.batches import packed
from peerstack.session.wire import Batch, Kind, decode_untrusted
from tests.people import T0, person

ANA = person("ana")
GROUP = as_group(ANA.founds(T0).group)


@pytest.mark.parametrize("chars", [[10] * 1_200, [20_000] * 30, [10, 50_000] * 20, [55_000]])
def test_items_go_in_order_in_numbered_batches_no_larger_than_a_message(chars: list[int]) -> None:
    items = [note(number, size) for number, size in enumerate(chars)]
    batches = list(packed(3, Kind.RECORDS, items, 7))

    assert max(len(each.encoded) for each in batches) <= limits.MESSAGE_BYTES
    messages = [decode_untrusted(each.encoded) for each in batches]
    assert all(isinstance(each, Batch) and each.channel == 3 for each in messages)
    numbers = [each.number for each in messages if isinstance(each, Batch)]
    assert numbers == list(range(7, 7 + len(batches)))
    bodies = [[*each.bodies] for each in messages if isinstance(each, Batch)]
    assert [len(each) for each in bodies] == [each.items for each in batches]
    assert [body for some in bodies for body in some] == [each.body for each in items]


def test_nothing_makes_no_batch() -> None:
    assert list(packed(0, Kind.RECORDS, [], 0)) == []


def note(number: int, chars: int) -> Signed:
    value = {"text": random.Random(number).randbytes(chars // 2).hex()}
    return ANA.writes(GROUP, T0 + number, value=value)
