"""A link that somebody sent: as text, or as content whose checksum is right."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

import msgspec

from peerstack import limits
from peerstack.errors import InvalidLink
from peerstack.groups.invites import InviteLink, decode_untrusted_link
from peerstack.identity.linking import DeviceLink, decode_untrusted_device_link
from peerstack.keys import sha256
from tests.fuzz.reader import Reader
from tests.fuzz.target import Target

KINDS: Final[tuple[tuple[str, Callable[[str], InviteLink | DeviceLink]], ...]] = (
    ("peerstack:join:", decode_untrusted_link),
    ("peerstack:link:", decode_untrusted_device_link),
)


def run(data: bytes) -> None:
    """Of which kind, and whether the rest is text, or content to be written as a link."""
    reader = Reader(data)
    prefix, decode = reader.pick(KINDS)
    if reader.flag():
        text = written(prefix, reader.rest())
    else:
        text = reader.rest().decode("utf-8", "surrogateescape")
    try:
        link = decode(text)
    except InvalidLink:
        return
    again = written(prefix, msgspec.msgpack.encode(link))
    if len(again) <= limits.LINK_CHARS:
        assert decode(again) == link


def written(prefix: str, content: bytes) -> str:
    """The text of a link with this content."""
    encoded = base64.urlsafe_b64encode(content + sha256(content)[:4]).decode()
    return prefix + encoded.rstrip("=")


TARGET = Target(
    "link",
    run,
    (
        "peerstack.groups.invites.decode_untrusted_link",
        "peerstack.identity.linking.decode_untrusted_device_link",
        "peerstack.identity.linktext.LinkText.decode_untrusted",
    ),
)
