"""A world of simulated devices: the shipping engines under virtual time, repeatable from one seed.

Joins devices, pipes and the server on one heap of what is to happen. Knows nothing of records.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple

from peerstack.errors import RemoteError
from peerstack.identity import User, Whereabouts
from peerstack.session.wire import decode_untrusted
from peerstack.testing.conditions import CALM, Conditions
from peerstack.testing.device import Device
from peerstack.testing.dice import Dice
from peerstack.testing.invariants import Identified, Invariants
from peerstack.testing.pipes import End, Pipes
from peerstack.testing.plug import Plug
from peerstack.testing.rooms import RoomServer

_BEGIN_MS: Final = 1_790_000_000_000
"""Unix milliseconds at which every world begins: 2026-09-21, 14:13:20 UTC."""

_QUIET_MS: Final = 6 * 60 * 1000
"""Longer than a device ever waits before it tries a peer again."""

_EVENTS_AT_ONCE: Final = 100_000
_SHOWN: Final = 40


class Sent(NamedTuple):
    """One message on a pipe, as it was sent."""

    at_ms: int
    sender: str
    receiver: str
    data: bytes

    @property
    def kind(self) -> str:
        """The name of its type, such as `Level`; "garbage" if it is none."""
        try:
            return type(decode_untrusted(self.data)).__name__
        except RemoteError:
            return "garbage"

    def __str__(self) -> str:
        return f"{self.sender} -> {self.receiver}: {self.kind}, {len(self.data)} bytes"


class World:
    """Devices that run the shipping code, and everything between them.

    ::

        world = World(seed=7)
        ana, ben = world.device("ana"), world.device("ben", skew_ms=-90_000)
        family = ana.create_group("Family")
        ben.join(ana.invite(family))
        world.settle()
        assert ben.records(family) == ana.records(family)

    Keys, signatures, SQL, sessions and the server's rules are the real ones; sockets, clocks and
    chance are the world's. One seed gives one run, event for event, on every machine.
    """

    def __init__(self, seed: int | str = 0, conditions: Conditions = CALM) -> None:
        self.seed: Final = str(seed)
        self.now_ms = 0
        """Milliseconds since the world began. Only the world moves it."""
        self.dice: Final = Dice(self.seed)
        self.devices: dict[str, Device] = {}
        self.sent: list[Sent] = []
        """Every message that was sent on a pipe, in order."""
        self.server: Final = RoomServer(self.later, lambda: self.now_ms, lambda: self.wall_ms)
        self.pipes: Final = Pipes(self.later, lambda: self.now_ms, self.dice)
        self.pipes.on_send = self._note_sent
        self.invariants: Final = Invariants()
        """What is checked of each device after each of its turns, and of each message."""
        self._plugged: dict[str, Plug] = {}
        self._notes: list[tuple[int, str | Sent]] = []
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._planned = 0
        self._plugs = 0
        self._busy_ms = 0
        self.conditions = conditions

    def device(
        self,
        name: str,
        *,
        skew_ms: int = 0,
        online: bool = True,
        indexes: Mapping[str, Sequence[str]] | None = None,
        search: Mapping[str, Sequence[str]] | None = None,
        link: str | None = None,
        user: User | None = None,
        restores: Whereabouts | None = None,
    ) -> Device:
        """A new device with a new user of that name. `skew_ms`: how far ahead its clock is.

        With a `link` that a device made (`Device.link_device`), a new device of that one's user;
        with a `user`, theirs, and with what a kit `restores` too, as a recovery makes it.
        """
        if name in self.devices:
            raise ValueError(f"there is a device named {name!r} already")
        device = Device(
            self,
            name,
            skew_ms=skew_ms,
            indexes=indexes or {},
            search=search or {},
            link=link,
            user=user,
            restores=restores,
        )
        self.devices[name] = device
        if online:
            device.go_online()
        return device

    # --- The network. ---------------------------------------------------------------------------

    @property
    def conditions(self) -> Conditions:
        """How good the network is. May be set at any time; what is under way is not changed."""
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._conditions = self.pipes.conditions = self.server.conditions = conditions

    def partition(self, *sides: Collection[Device]) -> None:
        """Cut the pipes between these sets of devices, and let none open, until told otherwise.

        Who is in no set reaches everybody, and the server is reached by all: it is no partition
        that keeps a device from the server, but `Device.go_offline`.
        """
        # Sets of devices are in another order in each process.
        names = [" ".join(sorted(device.name for device in side)) for side in sides]
        self.note(f"partition: {' | '.join(names)}")
        self.pipes.partition([[device.name for device in side] for side in sides])

    def heal(self) -> None:
        """Let everybody meet everybody."""
        self.note("heal")
        self.pipes.partition([])

    def plug(self, device: Device, *, dialled: bool = True) -> Plug:
        """A pipe to a device, whose other end the caller speaks: a peer that need not be honest.

        `dialled`: whether the caller's side counts as the one that dialled.
        """
        self._plugs += 1
        plug = self._plugged[f"plug-{self._plugs}"] = Plug(f"plug-{self._plugs}", self.pipes)
        # Far from the numbers that the device gives its own links.
        link = 1_000_000 + self._plugs
        if dialled:
            plug.end, _ = self.pipes.connect(plug, link, device, link)
        else:
            _, plug.end = self.pipes.connect(device, link, plug, link)
        return plug

    # --- Time. ----------------------------------------------------------------------------------

    @property
    def wall_ms(self) -> int:
        """What a right clock says: Unix milliseconds."""
        return _BEGIN_MS + self.now_ms

    def later(self, wait_ms: int, action: Callable[[], None]) -> None:
        """Have something done after a while; of what is due at once, the earliest asked first."""
        self._planned += 1
        heapq.heappush(self._agenda, (self.now_ms + max(0, wait_ms), self._planned, action))

    def step(self) -> bool:
        """Let the next thing happen; False if nothing ever will."""
        if not self._agenda:
            return False
        self.now_ms, _, action = heapq.heappop(self._agenda)
        action()
        return True

    def run(self, for_ms: int) -> None:
        """Let time pass."""
        end_ms, at_once, before_ms = self.now_ms + for_ms, 0, self.now_ms
        while self._agenda and self._agenda[0][0] <= end_ms:
            self.step()
            at_once = at_once + 1 if self.now_ms == before_ms else 0
            before_ms = self.now_ms
            assert at_once < _EVENTS_AT_ONCE, f"time stands still\n{self._latest()}"
        self.now_ms = end_ms

    def run_until(self, condition: Callable[[], bool], within_ms: int = 60 * 60 * 1000) -> None:
        """Let time pass until something holds. Raises `AssertionError` where it never does."""
        end_ms = self.now_ms + within_ms
        while not condition():
            due = bool(self._agenda) and self._agenda[0][0] <= end_ms
            assert due, f"it did not come about within {within_ms} ms\n{self._latest()}"
            self.step()

    def settle(self, quiet_ms: int = _QUIET_MS, within_ms: int = 12 * 60 * 60 * 1000) -> None:
        """Let time pass until nobody has said anything on a pipe for `quiet_ms`.

        That includes all waits before devices try each other again. Raises `AssertionError` where
        it never comes to that: devices that are level have nothing to say to each other.
        """
        end_ms = self.now_ms + within_ms
        self._busy_ms = self.now_ms
        while self.now_ms - self._busy_ms < quiet_ms:
            assert self.now_ms < end_ms, f"no quiet within {within_ms} ms\n{self._latest()}"
            self.run(self._busy_ms + quiet_ms - self.now_ms)
        self.invariants.at_rest(each for each in self.devices.values() if each.honest)

    # --- What happened. -------------------------------------------------------------------------

    @property
    def trace(self) -> list[str]:
        """What happened so far, a line each: when, and what."""
        return [f"{at_ms:>9} {text}" for at_ms, text in self._notes]

    def note(self, text: str) -> None:
        """Write a line into the trace."""
        self._notes.append((self.now_ms, text))

    def traffic(self, since: int = 0) -> Counter[str]:
        """How many messages of each kind were sent behind the first `since` of `sent`."""
        return Counter(each.kind for each in self.sent[since:])

    def turned(self, device: Device) -> None:
        """See `peerstack.testing.device.Surroundings`."""
        if device.honest:
            self.invariants.after_turn(device)

    def _identity(self, name: str) -> Identified | None:
        device = self.devices.get(name)
        if device is not None:
            return Identified(device.user.id, device.user.device)
        return self._plugged[name].identity if name in self._plugged else None

    def _note_sent(self, end: End, data: bytes) -> None:
        assert end.other is not None
        sender = self.devices.get(end.holder.name)
        if sender is not None and sender.honest:
            receiver = self._identity(end.other.holder.name)
            self.invariants.sent(sender, receiver, end.binding, data)
        self._busy_ms = self.now_ms
        sent = Sent(self.now_ms, end.holder.name, end.other.holder.name, data)
        self.sent.append(sent)
        self._notes.append((self.now_ms, sent))

    def _latest(self) -> str:
        return "\n".join(f"{at_ms:>9} {text}" for at_ms, text in self._notes[-_SHOWN:])
