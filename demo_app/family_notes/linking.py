"""Linking two devices of one user, as two people at two screens go through it, step by step."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Sequence
from typing import Final

import peerstack
from family_notes.desk import Desk

_LOOK_S: Final = 0.05


class Step(enum.StrEnum):
    """How far it has come."""

    BEGIN = "begin"
    WAITING = "waiting"
    COMPARE = "compare"
    DONE = "done"
    FAILED = "failed"


class Giving:
    """The device that there is: shows a link, and says that the digits are the same.

    Pages ask all the time how far it has come, and several may be open: one at a time is answered.
    """

    def __init__(self) -> None:
        self.step = Step.BEGIN
        self.link = ""
        self.qr = ""
        self.digits = ""
        self.device_name = ""
        self.problem = ""
        self._linking: peerstack.Linking | None = None
        self._at_work = asyncio.Lock()

    @property
    def shown(self) -> str:
        """What a page shows of it: another one where the page has to change."""
        return f"{self.step} {self.digits}"

    async def start(self, node: peerstack.Node) -> None:
        """Make a link. Raises as `peerstack.Node.link_device`."""
        async with self._at_work:
            await self._end()
            self._linking = await node.link_device()
            self.link, self.qr = self._linking.link, self._linking.qr().svg(3)
            self.step = Step.WAITING

    async def look(self) -> None:
        """See whether the new device has come, or is gone."""
        async with self._at_work:
            if (linking := self._under_way()) is None:
                return
            try:
                self.digits = await linking.digits(_LOOK_S)
            except peerstack.LinkPending:
                if not linking.is_current:
                    self.step = Step.WAITING
            except peerstack.LinkEnded as error:
                self._fail(str(error))
            else:
                self.device_name = linking.device_name
                self.step = Step.COMPARE

    async def confirm(self, digits: str) -> None:
        """The digits that were shown are the same on the new device."""
        async with self._at_work:
            if (linking := self._under_way()) is None:
                return
            try:
                if digits != self.digits:
                    raise peerstack.LinkPending("the digits have changed: compare them again")
                await linking.confirm()
            except peerstack.LinkPending:
                self.step = Step.WAITING
            except peerstack.LinkEnded as error:
                self._fail(str(error))
            else:
                self.step = Step.DONE

    async def refuse(self) -> None:
        """The digits differ."""
        async with self._at_work:
            if (linking := self._under_way()) is not None:
                await linking.refuse()
                self._fail(
                    "The new device was turned away. If the digits did differ, somebody else has "
                    "the link: pass the next one on in another way."
                )

    async def cancel(self) -> None:
        """End the link; what was confirmed stays."""
        async with self._at_work:
            await self._end()

    def _under_way(self) -> peerstack.Linking | None:
        return self._linking if self.step in (Step.WAITING, Step.COMPARE) else None

    async def _end(self) -> None:
        if self._linking is not None:
            await self._linking.close()
        self._linking = None
        self.step = Step.BEGIN

    def _fail(self, problem: str) -> None:
        self.problem, self.step = problem, Step.FAILED


class Arriving:
    """The new device: has been given a link, and shows digits until the other one confirms."""

    def __init__(self) -> None:
        self.step = Step.BEGIN
        self.digits = ""
        self.problem = ""
        self.problems: Sequence[str] = ()

    def start(self, desk: Desk, link: str) -> None:
        """Begin to look for the other device; one at a time."""
        if self.step not in (Step.WAITING, Step.COMPARE):
            self.step, self.problem, self.problems = Step.WAITING, "", ()
            desk.spawn(self._arrive(desk, link))

    async def _arrive(self, desk: Desk, link: str) -> None:
        try:
            await desk.link(link, self._show, self._tell)
        except peerstack.PeerstackError as error:
            self.problem, self.step = str(error), Step.FAILED
        except asyncio.CancelledError:
            self.step = Step.BEGIN
            raise
        else:
            self.step = Step.DONE

    def _show(self, digits: str) -> None:
        self.digits, self.step = digits, Step.COMPARE

    def _tell(self, problem: str) -> None:
        self.problems = [*self.problems, problem]
