"""A note on its way from or to another program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from family_notes.model import Draft, Place


@dataclass(frozen=True, slots=True)
class Line:
    """An item of a list."""

    text: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Parcel:
    """A note, with all that goes along."""

    draft: Draft
    lines: Sequence[Line] = ()
    pinned: bool = False
    place: Place = Place.DESK


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What could not be understood, and why: a sentence that names it."""

    why: str
