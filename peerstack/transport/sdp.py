"""The few lines of SDP that describe one end of a data channel: text <-> `Description`.

Reads what any WebRTC implementation offers (RFC 8866, RFC 8839, RFC 8841, RFC 8842) and keeps only
what is needed, so that no untrusted line reaches a media stack. Knows no sockets.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from peerstack import limits
from peerstack.errors import Reason, RemoteError

_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_FOUNDATION: Final = re.compile(r"[A-Za-z0-9+/]{1,32}")
_PORT_MAX: Final = 2**16 - 1
_PRIORITY_MAX: Final = 2**31 - 1
_DEFAULT_MESSAGE_BYTES: Final = 64 * 1024
"""RFC 8841, section 6.1: what a peer takes that does not say."""


class Role(enum.StrEnum):
    """Which of the two descriptions this is; the value is its `a=setup` (RFC 8842, section 5)."""

    OFFER = "actpass"
    ANSWER = "active"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A UDP address where one end may be reached (RFC 8839, section 5.1)."""

    foundation: str
    priority: int
    address: str
    port: int
    kind: str


@dataclass(frozen=True, slots=True)
class Description:
    """One end of a connection that carries nothing but data channels."""

    ufrag: str
    password: str
    fingerprint: bytes
    """SHA-256 of the DTLS certificate."""

    sctp_port: int
    candidates: tuple[Candidate, ...]


def encode(description: Description, role: Role) -> str:
    """The description as SDP that any WebRTC implementation understands."""
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        f"a=ice-ufrag:{description.ufrag}",
        f"a=ice-pwd:{description.password}",
        f"a=fingerprint:sha-256 {description.fingerprint.hex(':').upper()}",
        f"a=setup:{role.value}",
        f"a=sctp-port:{description.sctp_port}",
        f"a=max-message-size:{limits.MESSAGE_BYTES}",
        *(_candidate_line(c) for c in description.candidates[: limits.CANDIDATES]),
        "a=end-of-candidates",
    ]
    return "\r\n".join(lines) + "\r\n"


def decode_untrusted(text: str, role: Role) -> Description:
    """What a peer's SDP says, if it describes one data channel connection in the given role.

    Candidates that cannot be used are left out: other than UDP, names instead of addresses (an
    mDNS name would make this device query the network on a stranger's word), and those beyond
    `limits.CANDIDATES`.

    Raises:
        RemoteError: whatever else is wrong.
    """
    if len(text) > limits.BOX_BYTES:
        raise RemoteError(Reason.OVERSIZE, f"an SDP of {len(text)} characters")
    attributes = _attributes(text)
    if _one(attributes, "setup") != role.value:
        raise _malformed("setup does not fit the role")
    _check_message_size(attributes)
    return Description(
        ufrag=_matched(_UFRAG, _one(attributes, "ice-ufrag"), "ice-ufrag"),
        password=_matched(_PASSWORD, _one(attributes, "ice-pwd"), "ice-pwd"),
        fingerprint=_fingerprint(attributes.get("fingerprint", [])),
        sctp_port=_number(_one(attributes, "sctp-port"), 1, _PORT_MAX),
        candidates=_candidates(attributes.get("candidate", [])),
    )


def _attributes(text: str) -> dict[str, list[str]]:
    """Values by name, of the session and of its one section, which must be for data channels."""
    attributes: dict[str, list[str]] = {}
    sections = []
    for line in text.splitlines():
        if line.startswith("m="):
            sections.append(line.split())
        elif line.startswith("a="):
            name, _, value = line[2:].partition(":")
            attributes.setdefault(name, []).append(value.strip())
    if len(sections) != 1 or len(sections[0]) != 4:
        raise _malformed("not exactly one data channel section")
    kind, _, protocol, form = sections[0]
    if (kind, protocol, form) != ("m=application", "UDP/DTLS/SCTP", "webrtc-datachannel"):
        raise _malformed("the section is not for data channels over UDP")
    return attributes


def _one(attributes: dict[str, list[str]], name: str) -> str:
    values = attributes.get(name, [])
    if len(values) != 1:
        raise _malformed(f"{len(values)} lines of {name}, one is needed")
    return values[0]


def _check_message_size(attributes: dict[str, list[str]]) -> None:
    """Refuse a peer that takes less than our messages; zero means any size (RFC 8841)."""
    taken = _DEFAULT_MESSAGE_BYTES
    if "max-message-size" in attributes:
        taken = _number(_one(attributes, "max-message-size"), 0, 2**32 - 1)
    if 0 < taken < limits.MESSAGE_BYTES:
        raise _malformed(f"the peer takes messages of {taken} bytes only")


def _fingerprint(values: list[str]) -> bytes:
    """The one SHA-256 fingerprint; those by other hashes add nothing to it."""
    pairs = [value.split() for value in values]
    digests = [pair[1] for pair in pairs if len(pair) == 2 and pair[0].lower() == "sha-256"]
    if len(digests) != 1:
        raise _malformed(f"{len(digests)} sha-256 fingerprints, one is needed")
    return bytes.fromhex(_matched(_FINGERPRINT, digests[0], "fingerprint").replace(":", ""))


def _candidates(values: list[str]) -> tuple[Candidate, ...]:
    """Each usable address once: two candidates that share one would confuse the checks."""
    by_address: dict[tuple[str, int], Candidate] = {}
    for value in values:
        candidate = _candidate(value.split())
        if candidate is not None and len(by_address) < limits.CANDIDATES:
            by_address.setdefault((candidate.address, candidate.port), candidate)
    return tuple(by_address.values())


def _candidate(words: list[str]) -> Candidate | None:
    """RFC 8839, section 5.1: foundation component transport priority address port "typ" type."""
    if len(words) < 8 or words[1] != "1" or words[2].lower() != "udp" or words[6] != "typ":
        return None
    if words[7] not in ("host", "srflx", "relay"):
        return None
    try:
        address = ipaddress.ip_address(words[4])
    except ValueError:
        return None
    # What is asked of an address goes by where it leads, however it is spelled.
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_multicast or address.is_unspecified or "%" in words[4]:
        return None
    return Candidate(
        foundation=_matched(_FOUNDATION, words[0], "foundation"),
        priority=_number(words[3], 0, _PRIORITY_MAX),
        address=str(address),
        port=_number(words[5], 1, _PORT_MAX),
        kind=words[7],
    )


def _candidate_line(candidate: Candidate) -> str:
    # RFC 8839 asks for a related address, and lets it be hidden like this.
    hidden = "" if candidate.kind == "host" else " raddr 0.0.0.0 rport 9"
    return (
        f"a=candidate:{candidate.foundation} 1 udp {candidate.priority} "
        f"{candidate.address} {candidate.port} typ {candidate.kind}{hidden}"
    )


def _matched(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise _malformed(what)
    return text


def _number(text: str, least: int, most: int) -> int:
    value = int(_matched(_NUMBER, text, "number"))
    if not least <= value <= most:
        raise _malformed(f"{value} is not within {least} to {most}")
    return value


def _malformed(detail: str) -> RemoteError:
    return RemoteError(Reason.MALFORMED, f"SDP: {detail}")
