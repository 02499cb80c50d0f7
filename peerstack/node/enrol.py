"""Becoming a device of a user by a link that another device of theirs shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from peerstack import limits
from peerstack.engine import Turn, enrolling
from peerstack.engine.enrolling import Progress
from peerstack.engine.link_state import Ending
from peerstack.errors import InvalidValue, LinkEnded, LinkPending
from peerstack.groups.membership import GroupState
from peerstack.identity import User
from peerstack.identity.linking import (
    DeviceLink,
    decode_untrusted_device_link,
    linked_user,
)
from peerstack.identity.signing import check_name
from peerstack.node import wiping
from peerstack.node.files import Files, key_file_of, open_files
from peerstack.node.files import device_name as usual_device_name
from peerstack.node.keyfile import Keys
from peerstack.node.node import Node, start_node
from peerstack.node.people import AddressBook
from peerstack.node.ports import SystemEntropy
from peerstack.signaling.address import checked_urls
from peerstack.store import Store

LINK_S: Final = limits.LINK_MS / 1000
"""How long a link lasts, and so how long one waits for it."""
_HANDOVER_S: Final = 10.0
"""How long a certified device waits for what else it is given; it comes later where it must."""

_TELL_AFTER_S: Final = 0.5
"""A problem is told once it has lasted this long: some are over at once."""

_AGAIN: Final = "make another link on the other device, and link this one by that"
_ENDED: Final = {
    Ending.REFUSED: "the other device refused: its owner said that the digits differ. If they did, "
    "somebody was between the two: keep the next link to yourself",
    Ending.BUSY: "the other device is linking another one by this link; if that is none of yours, "
    "refuse it there",
    Ending.ATTEMPTS: "the devices were cut off too often before this was confirmed",
}


@asynccontextmanager
async def open_linked(
    path: str | Path,
    link: str,
    on_digits: Callable[[str], None],
    device_name: str | None = None,
    passphrase: str | None = None,
    *,
    timeout: float = LINK_S,
    on_problem: Callable[[str], None] | None = None,
    indexes: Mapping[str, Sequence[str]] | None = None,
    search: Mapping[str, Sequence[str]] | None = None,
    address_book: AddressBook | None = None,
) -> AsyncIterator[Node]:
    """Make this machine a new device of a user: a profile at `path`, as an async context manager.

    `link` is what `Node.link_device` gives on a device of theirs, which has to stay online.
    `on_digits` is called on the event loop with six digits, such as "123 456", which that device
    shows too; again with others where the two were cut off. The block is entered once its owner
    has confirmed there that they are the same. `device_name` is what the user's devices call this
    one (by default, what the machine is called). `on_problem` is called, on the event loop too,
    with whatever keeps this device from the other one for longer. What follows is as in `open`.

    Cut short, this may be repeated with the same link while that lasts, or with a new one.

    Raises `LinkPending` where it is not confirmed within `timeout` seconds, `LinkEnded` where the
    other device turned this one away, `InvalidLink`, `InvalidValue` where there is another profile
    at `path`, and as `open`.
    """
    path = Path(path)
    parsed = decode_untrusted_device_link(link)
    name = device_name or usual_device_name()
    check_name(name)
    checked_urls(parsed.servers)

    def open_or_make() -> Files:
        _clear(path, passphrase, parsed)
        # The key is on disk before anybody can certify it.
        return open_files(
            path,
            lambda: Keys(linked_user(parsed, SystemEntropy())),
            passphrase,
            True,
            indexes,
            search,
        )

    node = await start_node(
        open_or_make,
        parsed.servers,
        address_book,
        lambda turn: enrolling.begin(turn, link, name),
    )
    try:
        async with _told(node, on_problem):
            await _until_linked(node, on_digits, timeout)
        yield node
    finally:
        await node.close()


def _clear(path: Path, passphrase: str | None, link: DeviceLink) -> None:
    """Remove what another link, which led to nothing, has left at `path`.

    Raises `InvalidValue` where there is a profile of anybody else, or of this user already.
    """
    key_file = key_file_of(path, passphrase)
    if not key_file.path.exists():
        return
    user = key_file.read().user
    by_this_link = (user.id, user.device) == (link.user, link.device_of(user.device_key.public))
    if by_this_link:
        return
    if user.statements or _is_certified(path, user):
        raise InvalidValue(f"there is another profile at {path}; link this device into another one")
    # Nobody has ever entered it, so nothing is in it.
    wiping.wipe(path)


def _is_certified(path: Path, user: User) -> bool:
    if not path.exists():
        return False
    store = Store.open(path)
    try:
        with store.snapshot() as snapshot:
            state = GroupState.of(user.id, snapshot.identities([user.id]))
            return state.device(user.id, user.device) is not None
    finally:
        store.close()


async def _until_linked(node: Node, on_digits: Callable[[str], None], timeout_s: float) -> None:
    known = Progress(certified=False, complete=False, digits=None, ending=None)
    shown: str | None = None

    def look(turn: Turn) -> Progress | None:
        now = enrolling.progress(turn)
        return now if now != known else None

    try:
        async with asyncio.timeout(timeout_s) as waiting:
            while not known.complete:
                known = await node.until(look, None)
                if known.certified:
                    soon_s = asyncio.get_running_loop().time() + _HANDOVER_S
                    waiting.reschedule(min(waiting.when() or soon_s, soon_s))
                elif known.ending is not None:
                    raise LinkEnded(f"{_ENDED.get(known.ending, 'the link has ended')}; {_AGAIN}")
                elif known.digits is not None and known.digits != shown:
                    shown = known.digits
                    on_digits(shown)
    except TimeoutError:
        if not known.certified:
            raise LinkPending(_why_pending(node, shown)) from None


@asynccontextmanager
async def _told(node: Node, on_problem: Callable[[str], None] | None) -> AsyncIterator[None]:
    """Meanwhile, tell of each problem that lasts, once."""
    if on_problem is None:
        yield
        return
    telling = asyncio.get_running_loop().create_task(_tell(node, on_problem))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait({telling})


async def _tell(node: Node, on_problem: Callable[[str], None]) -> None:
    before: set[str] = set()
    told: set[str] = set()
    while True:
        now = set(node.hindrances())
        for problem in sorted((now & before) - told):
            told.add(problem)
            on_problem(problem)
        before = now
        await asyncio.sleep(_TELL_AFTER_S)


def _why_pending(node: Node, shown: str | None) -> str:
    if shown is not None:
        why = "nobody has confirmed the digits on the other device"
    else:
        why = "; ".join(node.hindrances()) or "the other device was not met; it has to stay online"
    return f"this device is not linked yet: {why}. Try again while the link lasts, or {_AGAIN}"
