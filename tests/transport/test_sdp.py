"""SDP is read as any WebRTC implementation writes it, and nothing else gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerstack import limits
from peerstack.errors import Reason, RemoteError
from peerstack.transport import sdp

DESCRIPTION = sdp.Description(
    ufrag="abcd",
    password="p" * 22,
    fingerprint=bytes(range(32)),
    sctp_port=5000,
    candidates=(
        sdp.Candidate("f1", 2130706431, "192.0.2.7", 40001, "host"),
        sdp.Candidate("f2", 1694498815, "2001:db8::7", 40002, "srflx"),
    ),
)
TEXT = sdp.encode(DESCRIPTION, sdp.Role.OFFER)
LINES = TEXT.splitlines()

# As Chrome 126 offers it, apart from addresses and secrets.
BROWSER_OFFER = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=application 54400 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 192.0.2.9
a=candidate:1 1 udp 2113937151 4a1c6c2e-0000-4000-8000-000000000000.local 54400 typ host \
generation 0 network-cost 999
a=candidate:2 1 udp 1677729535 192.0.2.9 54400 typ srflx raddr 0.0.0.0 rport 0 generation 0
a=candidate:3 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
a=ice-options:trickle
a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:\
E9:26:33:E8:70:88:A2
a=setup:actpass
a=mid:0
a=sctp-port:5000
a=max-message-size:262144
"""


def refusal(text: str, role: sdp.Role = sdp.Role.OFFER) -> Reason:
    with pytest.raises(RemoteError) as refused:
        sdp.decode_untrusted(text, role)
    return refused.value.reason


@pytest.mark.parametrize("role", sdp.Role)
def test_what_is_encoded_is_decoded(role: sdp.Role) -> None:
    assert sdp.decode_untrusted(sdp.encode(DESCRIPTION, role), role) == DESCRIPTION


def test_a_browsers_offer_is_read_and_only_usable_addresses_are_kept() -> None:
    read = sdp.decode_untrusted(BROWSER_OFFER, sdp.Role.OFFER)

    assert read.ufrag == "EsAw"
    assert read.password == "P2uYro0UCOQ4zxjKXaWCBui1"
    assert read.fingerprint.hex().startswith("19e21c3b")
    assert read.candidates == (sdp.Candidate("2", 1677729535, "192.0.2.9", 54400, "srflx"),)


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=audio 9 UDP/TLS/RTP/SAVPF 0"),
        ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=application 9"),
        ("a=mid:0", "m=video 9 UDP/TLS/RTP/SAVPF 96"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:abc"),
        ("a=ice-ufrag:abcd", "a=ice-ufrag:ab:d"),
        ("a=ice-pwd:" + "p" * 22, "a=ice-pwd:" + "p" * 257),
        ("a=setup:actpass", "a=setup:active"),
        ("a=setup:actpass", "a=setup:actpass\r\na=setup:actpass"),
        ("a=sctp-port:5000", "a=sctp-port:0"),
        ("a=sctp-port:5000", "a=sctp-port:65536"),
        ("a=sctp-port:5000", "a=sctp-port:" + "9" * 5000),
        ("a=sctp-port:5000", "a=sctp-port:٥"),  # noqa: RUF001 - a digit, but no ASCII digit
        ("a=max-message-size:65536", "a=max-message-size:65535"),
        ("a=candidate:f1 1 udp", "a=candidate:f:1 1 udp"),
        ("192.0.2.7 40001", "192.0.2.7 0"),
        ("192.0.2.7 40001", "192.0.2.7 65536"),
    ],
)
def test_a_line_out_of_bounds_is_malformed(line: str, instead: str) -> None:
    assert line in TEXT
    assert refusal(TEXT.replace(line, instead)) is Reason.MALFORMED


@pytest.mark.parametrize("name", ["ice-ufrag", "ice-pwd", "fingerprint", "setup", "sctp-port"])
def test_each_needed_line_must_be_there_once(name: str) -> None:
    line = next(line for line in LINES if line.startswith(f"a={name}:"))

    assert refusal(TEXT.replace(line + "\r\n", "")) is Reason.MALFORMED
    assert refusal(TEXT.replace(line, f"{line}\r\n{line}")) is Reason.MALFORMED


def test_an_oversize_description_is_refused_unread() -> None:
    assert refusal(TEXT + "x" * limits.BOX_BYTES) is Reason.OVERSIZE


@pytest.mark.parametrize(
    "address",
    [
        *("peer.local", "example.org", "224.0.0.251", "0.0.0.0", "::", "fe80::1%eth0"),  # noqa: S104 -- refused
        *("::ffff:224.0.0.251", "::ffff:0.0.0.0"),
    ],
)
def test_a_candidate_without_a_plain_address_is_left_out(address: str) -> None:
    read = sdp.decode_untrusted(TEXT.replace("192.0.2.7", address), sdp.Role.OFFER)

    assert read.candidates == DESCRIPTION.candidates[1:]


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.9"])
def test_an_ipv4_address_that_is_spelled_as_ipv6_is_read_as_what_it_is(address: str) -> None:
    """Else whoever asks whether it is loopback is told that it is not."""
    read = sdp.decode_untrusted(TEXT.replace("192.0.2.7", f"::ffff:{address}"), sdp.Role.OFFER)

    assert read.candidates[0].address == address


def test_no_more_candidates_are_tried_than_the_bound_and_each_address_once() -> None:
    many = "".join(
        f"a=candidate:f 1 udp 1 192.0.2.{n // 2} 4000 typ host\r\n"
        for n in range(2, 4 * limits.CANDIDATES)
    )
    read = sdp.decode_untrusted(TEXT + many, sdp.Role.OFFER)

    assert len(read.candidates) == limits.CANDIDATES
    assert len({(c.address, c.port) for c in read.candidates}) == limits.CANDIDATES


def test_own_candidates_are_sent_up_to_the_bound() -> None:
    many = tuple(
        sdp.Candidate("f", 1, f"192.0.2.{n}", 4000, "host") for n in range(2 * limits.CANDIDATES)
    )
    crowded = sdp.Description("abcd", "p" * 22, bytes(32), 5000, many)

    assert sdp.encode(crowded, sdp.Role.OFFER).count("a=candidate") == limits.CANDIDATES


@given(text=st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(RemoteError):
        sdp.decode_untrusted(text, sdp.Role.OFFER)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """A good offer in which lines are lost, doubled, moved, or have a stretch replaced."""
    lines = draw(st.lists(st.sampled_from(LINES), max_size=2)) + LINES
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, len(lines) - 1))
        line = lines[index]
        start = draw(st.integers(0, len(line)))
        end = draw(st.integers(start, len(line)))
        middle = draw(st.text(max_size=8) | st.sampled_from(["", " ", "9" * 30, "-1", "%", ":"]))
        lines[index] = line[:start] + middle + line[end:]
    return "\r\n".join(lines)


@given(text=mutations(), role=st.sampled_from(sdp.Role))
def test_a_mutated_description_is_read_within_bounds_or_refused(text: str, role: sdp.Role) -> None:
    try:
        read = sdp.decode_untrusted(text, role)
    except RemoteError:
        return
    assert sdp.decode_untrusted(sdp.encode(read, role), role) == read
