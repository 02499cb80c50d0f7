"""Sortable ids: ULIDs in their one canonical spelling. Knows no clock, keys or records.

A ULID is 48 bits of Unix milliseconds and 80 bits more, written as 26 characters of Crockford's
base 32 (https://github.com/ulid/spec), so ids sort by creation as text and as bytes. `ulid-py`
repairs look-alike letters and pads short input when it parses, so text is matched against our own
pattern first; any other spelling is refused.
"""

from __future__ import annotations

import re
from typing import Final, NewType

import ulid

from peerstack import limits
from peerstack.errors import InvalidValue
from peerstack.ports import Entropy

# A group's id is also the id of the statement that founds it, and a user's id is also the id of
# their personal group.
RecordId = NewType("RecordId", str)
GroupId = NewType("GroupId", RecordId)
UserId = NewType("UserId", GroupId)
DeviceId = NewType("DeviceId", str)

TAIL_BYTES: Final = 10
"""The 80 bits of a ULID behind its time."""

ULID_PATTERN: Final = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}\Z"
ID_PATTERN: Final = r"^[0-7][0-9A-HJKMNP-TV-Z]{25}(:[0-9A-Za-z._:-]{1,101})?\Z"

_ulid = re.compile(ULID_PATTERN)
_id = re.compile(ID_PATTERN)


def as_group(text: str) -> GroupId:
    """`text`, which is known to be the id of a group, as such."""
    return GroupId(RecordId(text))


def as_user(text: str) -> UserId:
    """`text`, which is known to be the id of a user, as such."""
    return UserId(as_group(text))


def is_ulid(text: str) -> bool:
    """Whether `text` is a ULID in its canonical spelling, without a suffix."""
    return _ulid.match(text) is not None


def is_record_id(text: str) -> bool:
    """Whether `text` is a ULID, optionally with `:suffix` behind it, of at most 128 characters."""
    return _id.match(text) is not None


def compose(time_ms: int, tail: bytes) -> str:
    """The ULID of a time and 10 further bytes.

    Raises `InvalidValue` where the time does not fit into 48 bits.
    """
    if not 0 <= time_ms <= limits.TIME_MS_MAX:
        raise InvalidValue(f"time {time_ms} ms is outside the 48 bits of an id; check the clock")
    if len(tail) != TAIL_BYTES:
        raise InvalidValue(f"an id takes {TAIL_BYTES} bytes behind its time, not {len(tail)}")
    text: str = ulid.from_bytes(time_ms.to_bytes(6, "big") + tail).str
    return text


def time_ms_of(ulid_or_id: str) -> int:
    """The Unix milliseconds inside an id that `is_record_id` accepts."""
    time_ms: int = ulid.from_str(ulid_or_id[:26]).timestamp().int
    return time_ms


class IdFactory:
    """Draws new ids; those of one millisecond ascend too.

    Within one millisecond the 80 bits of the last id are counted up by one, as the ULID
    specification says for monotonic ids; they do not run over in practice.
    """

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._last_ms = -1
        self._last_tail = 0

    def new(self, now_ms: int) -> str:
        """A new id, stamped with `now_ms` (Unix milliseconds)."""
        if now_ms == self._last_ms:
            self._last_tail += 1
        else:
            self._last_ms = now_ms
            # The top bit stays free, so that counting up cannot run over.
            drawn = int.from_bytes(self._entropy.draw(TAIL_BYTES), "big")
            self._last_tail = drawn & ~(1 << 79)
        return compose(now_ms, self._last_tail.to_bytes(TAIL_BYTES, "big"))
