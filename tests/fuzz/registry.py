"""All targets, by name, and where their inputs are kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    backup,
    body,
    box,
    crypto,
    device_frames,
    forwarded,
    handshake,
    import_file,
    kit,
    link,
    linking,
    member,
    notes_file,
    phrase,
    reconciliation,
    rendezvous,
    rooms,
    sdp,
    server_event,
    session,
    statement,
    wire_message,
)

_MODULES: Final = (
    *(wire_message, handshake, session, member, linking, reconciliation),
    *(body, statement, link, phrase, kit, backup, import_file, notes_file, crypto),
    *(sdp, box, rendezvous, server_event, device_frames, rooms, forwarded),
)
TARGETS: Final = {each.TARGET.name: each.TARGET for each in _MODULES}

_HERE: Final = Path(__file__).parent
CORPUS: Final = _HERE / "corpus"
FINDINGS: Final = _HERE / "findings"
"""Inputs that once were findings: each stays, so that it stays mended."""


def inputs(target: Target) -> Iterator[Path]:
    """The inputs of a target that the repository holds."""
    for folder in (CORPUS, FINDINGS):
        if (folder / target.name).is_dir():
            yield from sorted((folder / target.name).iterdir())
