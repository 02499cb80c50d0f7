"""Links as text: a value behind a prefix, fit to be mailed, pasted or shown as a QR code.

Knows nothing of what a link says (`docs/protocol.md`, "Links").
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from peerstack import limits
from peerstack.errors import InvalidLink, InvalidValue
from peerstack.keys import KEY_BYTES, sha256

_CHECK_BYTES: Final = 4
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)

Bytes32 = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
Servers = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=limits.SERVER_CHARS)], ...],
    Meta(max_length=limits.LINK_SERVERS),
]
"""Addresses of signaling servers, as a link names them."""

LinkForm = TypeVar("LinkForm", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class LinkText(Generic[LinkForm]):
    """How links of one kind are written."""

    prefix: str
    """What the text begins with."""
    form: type[LinkForm]
    kind: str
    """What such a link is called, such as "invite link"."""

    def encode(self, link: LinkForm) -> str:
        """The text of a link. Raises `InvalidValue` where nobody could read it."""
        content = msgspec.msgpack.encode(link)
        try:
            msgspec.msgpack.decode(content, type=self.form)
        except msgspec.MsgspecError as error:
            raise InvalidValue(f"this fits in no {self.kind}: {error}") from error
        text = base64.urlsafe_b64encode(content + sha256(content)[:_CHECK_BYTES]).decode()
        if len(text) > limits.LINK_CHARS:
            raise InvalidValue("the addresses of the servers are too long for a link; use fewer")
        return self.prefix + text.rstrip("=")

    def decode_untrusted(self, text: str) -> LinkForm:
        """What a link says, however a mail program has wrapped it. Raises `InvalidLink`."""
        compact = "".join(text.split())
        if not compact.startswith(self.prefix):
            raise InvalidLink(f"this is no {self.kind}; one begins with {self.prefix}")
        encoded = compact.removeprefix(self.prefix)
        if len(encoded) > limits.LINK_CHARS:
            raise InvalidLink(f"this is no {self.kind}; it is too long")
        try:
            padded = encoded + "=" * (-len(encoded) % 4)
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidLink(f"the {self.kind} is damaged; copy the whole of it again") from error
        content, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        if sha256(content)[:_CHECK_BYTES] != check:
            raise InvalidLink(
                f"the {self.kind} is cut short or changed; copy the whole of it again"
            )
        try:
            return msgspec.msgpack.decode(content, type=self.form)
        except _UNREADABLE as error:
            raise InvalidLink(f"this {self.kind} needs another version of peerstack") from error
