"""Taking a user back on an empty machine, with phrase and kit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from peerstack.errors import InvalidValue, NotAllowed
from peerstack.identity import Kit, read_identity, recovered
from peerstack.identity.phrase import decode_untrusted_phrase
from peerstack.ids import DeviceId
from peerstack.keys import Secret, Signer
from peerstack.node.files import Files, key_file_of, open_files
from peerstack.node.files import device_name as usual_device_name
from peerstack.node.keyfile import KeyFile, Keys
from peerstack.node.node import Node, start_node
from peerstack.node.people import AddressBook
from peerstack.node.ports import SystemClock, SystemEntropy
from peerstack.node.recovery import read_kit
from peerstack.signaling.address import checked_urls


@asynccontextmanager
async def recover(
    path: str | Path,
    phrase: str | Sequence[str],
    kit: str | Path,
    *,
    revoke: Collection[DeviceId] = (),
    keep: Collection[DeviceId] | None = None,
    device_name: str | None = None,
    passphrase: str | None = None,
    network: bool = True,
    indexes: Mapping[str, Sequence[str]] | None = None,
    search: Mapping[str, Sequence[str]] | None = None,
    address_book: AddressBook | None = None,
) -> AsyncIterator[Node]:
    """Take a user back on an empty machine: a profile at `path`, as an async context manager.

    The same user id, a new root key (the phrase is used up by that, and another one takes its
    place: `Node.recovery_phrase`), this machine as a new device, and the groups in the file `kit`.

    Devices in `revoke` end now; what they wrote before stays. Of those in `keep` (by default all
    that the kit knows) what they wrote goes on to count, and of no others. Sealed under
    `passphrase`; what follows it is as in `open`.

    **Use a phrase once.** Cut short, this may be repeated at the same `path`, and goes on where it
    was. At another path it makes a fork of the user, after which nothing counts any more.

    Raises `InvalidPhrase`, `InvalidKit`, `NotFound` for a device that the kit does not know,
    `InvalidValue` where there is another profile, and as `open`.
    """
    path = Path(path)
    known = await asyncio.to_thread(read_kit, kit, phrase)
    checked_urls(known.whereabouts.servers)
    seed = decode_untrusted_phrase(phrase)

    def new_keys() -> Keys:
        user = recovered(
            seed,
            known.statements,
            device_name or usual_device_name(),
            SystemClock().now().wall_ms,
            SystemEntropy(),
            revoke=revoke,
            keep=keep,
        )
        return Keys(user, known.whereabouts)

    def open_or_make() -> Files:
        _check_begun(path, key_file_of(path, passphrase), seed, known, revoke)
        # What is signed goes into the key file first, whole, and is never signed a second time.
        return open_files(path, new_keys, passphrase, network, indexes, search)

    node = await start_node(open_or_make, (), address_book)
    try:
        yield node
    finally:
        await node.close()


def _check_begun(
    path: Path, key_file: KeyFile, seed: Secret, kit: Kit, revoke: Collection[DeviceId]
) -> None:
    """Raise unless there is no profile yet, or the one that this very recovery makes."""
    if not key_file.path.exists():
        return
    user = key_file.read().user
    root = user.root.public if user.root is not None else None
    if user.id != kit.user or root != Signer(seed).public:
        raise InvalidValue(f"there is another profile at {path}; recover into another one")
    identity = read_identity(user.statements)
    devices = identity.devices if identity else {}
    open_still = [each for each in revoke if each in devices and devices[each].end_ms is None]
    if open_still:
        raise NotAllowed(
            f"this recovery was begun before, without revoking {', '.join(open_still)}; repeat it "
            "without, and revoke them then"
        )
