"""A note as a Markdown file: a heading, the text, task-list lines, and a few fields before all.

::

    ---
    labels: kitchen, weekend
    pinned: yes
    ---
    # Pancakes

    Mix, and let rest.

    - [ ] milk
    - [x] eggs
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from family_notes.model import Draft, Place, clean_labels, place_of
from family_notes.transfer.form import Line, Parcel

_FIELDS: Final = re.compile(r"\A---\n(.*?\n)?---\n", re.DOTALL)
_TASK: Final = re.compile(r"[-*+] \[([ xX])\] +(.*)")
_HEADING: Final = re.compile(r"\A\s*# +(.+)\n?")
_KNOWN: Final = frozenset({"labels", "pinned", "place"})


def read(text: str, name: str) -> Parcel:
    """The note in a file, which is called `name` where it has no heading of its own."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    fields, text = _fields(text)
    heading = _HEADING.match(text)
    title, text = (heading[1].strip(), text[heading.end() :]) if heading else (name, text)
    lines, body = _lines(text)
    return Parcel(
        Draft(title, body.strip(), clean_labels(fields.get("labels", "").strip("[]").split(","))),
        lines,
        fields.get("pinned") == "yes",
        place_of(fields.get("place")),
    )


def write(parcel: Parcel) -> str:
    """The file that `read` reads."""
    fields = {
        "labels": ", ".join(parcel.draft.labels),
        "pinned": "yes" if parcel.pinned else "",
        "place": "" if parcel.place is Place.DESK else parcel.place.value,
    }
    said = [f"{name}: {value}\n" for name, value in fields.items() if value]
    head = f"---\n{''.join(said)}---\n" if said else ""
    parts = [f"# {parcel.draft.title}" if parcel.draft.title else "", parcel.draft.body]
    parts.append("\n".join(f"- [{'x' if line.done else ' '}] {line.text}" for line in parcel.lines))
    return head + "\n\n".join(filter(None, parts)) + "\n"


def _fields(text: str) -> tuple[Mapping[str, str], str]:
    """The fields before all else, if each of them is one of ours; other people's stay text."""
    found = _FIELDS.match(text)
    if found is None:
        return {}, text
    pairs = [line.partition(":") for line in (found[1] or "").splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in pairs}
    return (fields, text[found.end() :]) if fields.keys() <= _KNOWN else ({}, text)


def _lines(text: str) -> tuple[list[Line], str]:
    """The task-list lines that are not indented, and the rest."""
    lines, rest = [], []
    for each in text.split("\n"):
        task = _TASK.fullmatch(each.rstrip())
        if task:
            lines.append(Line(task[2], task[1] != " "))
        else:
            rest.append(each)
    return lines, "\n".join(rest)
