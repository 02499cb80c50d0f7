"""A link to a new device, as the app on the old one has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from peerstack.engine import Turn, linking
from peerstack.engine.link_state import Candidate, Ending, OpenLink
from peerstack.errors import LinkPending
from peerstack.node.people import DeviceInfo
from peerstack.node.qr import QrCode, qr

if TYPE_CHECKING:
    from peerstack.node.myself import Myself


class Linking:
    """A link to a new device of one's own. Get one from `Node.link_device`.

    ::

        async with await node.link_device() as linking:
            show(linking.link, linking.qr().terminal())
            show(await linking.digits())
            if the_new_device_shows_the_same:
                await linking.confirm()
                await linking.completed()
            else:
                await linking.refuse()
    """

    def __init__(self, node: Myself, opened: OpenLink) -> None:
        self.link = opened.text
        """The link: a secret for as long as it lasts."""
        self._node = node
        self._opened = opened
        self._shown: Candidate | None = None

    def __repr__(self) -> str:
        return f"Linking(user={self._opened.link.user})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def qr(self) -> QrCode:
        """The link as a QR code."""
        return qr(self.link)

    async def digits(self, timeout: float | None = None) -> str:
        """The six digits that a new device shows too, such as "123 456", once one has come.

        Its owner is to compare them: whoever stands in the middle makes them differ. Asked again,
        this gives those of the moment, which change where the new device was cut off.

        Raises `LinkPending` where none comes within `timeout` seconds (None: as long as the link
        lasts), and `LinkEnded` once it has ended.
        """
        try:
            self._shown = await self._node.until(self._candidate, timeout)
        except TimeoutError as error:
            raise LinkPending(self._why_pending()) from error
        assert self._shown.side.digits is not None
        return self._shown.side.digits

    @property
    def device_name(self) -> str:
        """What the device whose digits were given last calls itself; empty before."""
        return self._shown.side.name if self._shown is not None else ""

    @property
    def is_current(self) -> bool:
        """Whether the digits that were given last are still those of the moment."""
        return self._shown is not None and self._opened.candidate is self._shown

    @property
    def turned_away(self) -> int:
        """How many devices came while another was being linked: others have the link, then."""
        return self._opened.turned_away

    async def confirm(self) -> DeviceInfo:
        """Both devices show the digits that `digits` gave last: make the new one one's own.

        Raises `LinkPending` where that device was cut off (its digits are others when it is back),
        and `LinkEnded`.
        """
        shown = self._shown
        if shown is None:
            raise LinkPending("no digits were shown yet: wait for `digits`, and compare them first")
        device = await self._node.perform(lambda turn: linking.confirm(turn, self._opened, shown))
        return next(each for each in await self._node.devices() if each.id == device)

    async def completed(self, timeout: float | None = 30) -> None:
        """Wait until the new device has all that this one gives it; the records follow by syncing.

        Raises `LinkPending` after `timeout` seconds: it goes on whenever both are online.
        """
        try:
            await self._node.until(self._is_complete, timeout)
        except TimeoutError as error:
            raise LinkPending(
                "the new device has not said yet that it has all it needs; it goes on by itself "
                "when both are online"
            ) from error

    async def refuse(self) -> None:
        """The digits differ: the new device is turned away, and the link ends."""
        await self._node.perform(lambda turn: linking.end(turn, self._opened, Ending.REFUSED))

    async def close(self) -> None:
        """End the link; what was confirmed stays. Without effect where it has ended."""
        if not self._node.closed:
            await self._node.perform(lambda turn: linking.end(turn, self._opened, Ending.CLOSED))

    def _candidate(self, _: Turn) -> Candidate | None:
        linking.check_open(self._opened)
        candidate = self._opened.candidate
        return candidate if candidate is not None and candidate.side.digits is not None else None

    def _is_complete(self, turn: Turn) -> bool | None:
        linked = self._opened.linked
        return (linked is not None and linking.is_complete(turn, linked)) or None

    def _why_pending(self) -> str:
        reasons = "; ".join(self._node.hindrances())
        return "no new device has come by the link yet" + (f" ({reasons})" if reasons else "")
