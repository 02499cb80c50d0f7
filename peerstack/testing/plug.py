"""The end of a pipe in the hands of a test: says any bytes, and keeps what it hears."""

from __future__ import annotations

from peerstack.testing.invariants import Identified
from peerstack.testing.pipes import End, Pipes


class Plug:
    """One end of a pipe to a simulated device. Get one from `World.plug`."""

    end: End
    identity: Identified | None = None
    """Who speaks here, where a test has given it a member's keys."""

    def __init__(self, name: str, pipes: Pipes) -> None:
        self.name = name
        self.heard: list[bytes] = []
        """The device's messages, in order."""
        self.hung_up: str | None = None
        """Why the pipe is no more, once the other side has ended it."""
        self._pipes = pipes

    @property
    def binding(self) -> bytes:
        """What no other pipe has, and both ends of this one do."""
        return self.end.binding

    def say(self, data: bytes) -> None:
        """Send a message."""
        self._pipes.send(self.end, data)

    def end_it(self) -> None:
        """End the pipe."""
        self._pipes.end(self.end)

    def opened(self, end: End) -> None:
        """See `peerstack.testing.pipes.Holder`."""
        self.end = end

    def arrived(self, end: End, data: bytes) -> None:
        """See `peerstack.testing.pipes.Holder`."""
        self.heard.append(data)

    def closed(self, end: End, reason: str) -> None:
        """See `peerstack.testing.pipes.Holder`."""
        self.hung_up = reason
