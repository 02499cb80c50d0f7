"""What WebRTC pipes promise beyond the contract, with real sockets, DTLS and SCTP."""

from __future__ import annotations

import asyncio
import hashlib
import re
import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack

import aioice.ice
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from peerstack import limits
from peerstack.errors import ConnectFailed, Reason, RemoteError, Stage
from peerstack.testing.contract import Recorder
from peerstack.transport import dialer as dialer_module
from peerstack.transport import webrtc
from peerstack.transport.base import CloseReason
from peerstack.transport.dialer import Dialer
from peerstack.transport.webrtc import IceServer, WebRtcPipe
from tests.transport.pairs import webrtc_pair
from tests.transport.stranger import Stranger

pytestmark = pytest.mark.usefixtures("quiet_loop")

FINGERPRINT = re.compile(r"(a=fingerprint:sha-256 )([0-9A-F:]+)")


@pytest.fixture
async def stranger() -> AsyncIterator[Stranger]:
    peer = Stranger()
    yield peer
    await peer.close()


@pytest.fixture
async def dialers() -> AsyncIterator[Callable[..., Dialer]]:
    made: list[Dialer] = []

    def make(*servers: IceServer) -> Dialer:
        made.append(Dialer(servers))
        return made[-1]

    yield make
    for dialer in made:
        await dialer.close()


def certificate_hash(pipe: WebRtcPipe) -> bytes:
    """SHA-256 of the certificate that the other end really showed."""
    tls = pipe._stack.dtls._ssl
    assert tls is not None
    shown = tls.get_peer_certificate(as_cryptography=True)
    assert shown is not None
    return hashlib.sha256(shown.public_bytes(Encoding.DER)).digest()


async def failed_stage(dialer: Dialer) -> Stage:
    with pytest.raises(ConnectFailed) as failed:
        await dialer.opened()
    return failed.value.stage


# --- Who is at the other end. -------------------------------------------------------------------


async def test_the_binding_names_both_certificates_that_dtls_saw() -> None:
    one, other = await webrtc_pair()

    hashes = sorted([certificate_hash(one), certificate_hash(other)])
    expected = hashlib.sha256(b"peerstack/1 dtls binding\0" + b"".join(hashes)).digest()

    assert one.binding == other.binding == expected
    await asyncio.gather(one.close(), other.close())


async def test_a_fingerprint_swapped_in_the_offer_fails_dtls(
    dialers: Callable[..., Dialer],
) -> None:
    caller, callee = dialers(), dialers()
    offer = await caller.offer()

    swapped = FINGERPRINT.sub(lambda m: m[1] + m[2][3:] + ":" + m[2][:2], offer)
    await caller.accept(await callee.answer(swapped))

    assert await failed_stage(callee) is Stage.DTLS


async def test_a_fingerprint_swapped_in_the_answer_fails_dtls(
    dialers: Callable[..., Dialer],
) -> None:
    caller, callee = dialers(), dialers()
    answer = await callee.answer(await caller.offer())

    await caller.accept(FINGERPRINT.sub(lambda m: m[1] + m[2][3:] + ":" + m[2][:2], answer))

    assert await failed_stage(caller) is Stage.DTLS


# --- Other implementations. ---------------------------------------------------------------------


async def test_another_implementation_can_answer(
    stranger: Stranger, dialers: Callable[..., Dialer]
) -> None:
    pipe = await stranger.called_by(dialers())

    pipe.send(b"hello")

    assert await stranger.heard.get() == b"hello"


async def test_another_implementation_can_offer(
    stranger: Stranger, dialers: Callable[..., Dialer]
) -> None:
    dialer, recorder = dialers(), Recorder()
    await stranger.accept(await dialer.answer(await stranger.offer()))
    (await dialer.opened()).listen(recorder)

    stranger.channel.send(b"hello")

    await recorder.until(lambda: recorder.messages == [b"hello"], "the stranger's message")


async def test_an_idle_pipe_beats_and_a_silent_peer_is_lost(
    stranger: Stranger, dialers: Callable[..., Dialer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webrtc, "BEAT_S", 0.05)
    recorder = Recorder()
    (await stranger.called_by(dialers())).listen(recorder)

    for _ in range(3 * webrtc.SILENT_BEATS):
        assert await stranger.heard.get() == b""
        stranger.channel.send(b"")
    assert recorder.reasons == []

    await recorder.until(lambda: bool(recorder.reasons), "the silent peer was given up")
    assert recorder.reasons == [CloseReason.LOST]
    assert recorder.messages == []


# --- Hostile peers. -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "misbehave",
    [
        pytest.param(lambda s: s.channel.send("text"), id="text"),
        pytest.param(lambda s: s.channel.send(bytes(limits.MESSAGE_BYTES + 1)), id="oversize"),
        pytest.param(lambda s: s.channel.send(bytes(64 * 1024 * 1024)), id="endless message"),
        pytest.param(lambda s: s.connection.createDataChannel("more"), id="another channel"),
    ],
)
async def test_a_peer_that_breaks_the_rules_is_hung_up_on(
    misbehave: Callable[[Stranger], object], stranger: Stranger, dialers: Callable[..., Dialer]
) -> None:
    recorder = Recorder()
    (await stranger.called_by(dialers())).listen(recorder)

    misbehave(stranger)

    await recorder.until(lambda: bool(recorder.reasons), "the pipe closed")
    assert recorder.reasons == [CloseReason.VIOLATION]
    assert recorder.messages == []


@pytest.mark.parametrize("text", ["", "v=0\r\n", "x" * (limits.BOX_BYTES + 1), "\ud800"])
async def test_a_hostile_description_raises_remote_error_and_leaves_nothing(
    text: str, dialers: Callable[..., Dialer]
) -> None:
    caller, callee = dialers(), dialers()
    await caller.offer()

    with pytest.raises(RemoteError):
        await callee.answer(text)
    with pytest.raises(RemoteError):
        await caller.accept(text)


async def test_an_answer_that_is_not_due_is_refused(dialers: Callable[..., Dialer]) -> None:
    caller, callee, third = dialers(), dialers(), dialers()
    answer = await callee.answer(await caller.offer())
    await caller.accept(answer)

    for dialer in (caller, callee, third):
        with pytest.raises(RemoteError) as refused:
            await dialer.accept(answer)
        assert refused.value.reason is Reason.UNEXPECTED


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
async def test_a_peer_cannot_point_this_device_at_its_own_loopback(
    address: str, stranger: Stranger, dialers: Callable[..., Dialer]
) -> None:
    dialer = dialers()
    offer = re.sub(r"a=candidate:.*\r\n", "", await stranger.offer())

    await dialer.answer(offer + f"a=candidate:f 1 udp 1 {address} 9 typ host\r\n")

    # At once: were the candidate tried, this would take until the dial's bound.
    async with asyncio.timeout(dialer_module.CONNECT_S / 2):
        assert await failed_stage(dialer) is Stage.ICE


# --- Bad networks. ------------------------------------------------------------------------------


async def test_an_unreachable_stun_server_does_not_hold_up_the_offer(
    dialers: Callable[..., Dialer],
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = IceServer(f"stun:127.0.0.1:{silent.getsockname()[1]}")
        # aioice alone would wait for 5 s.
        async with asyncio.timeout(4):
            offer = await dialers(server).offer()
    assert "typ host" in offer


async def test_of_many_servers_that_are_named_three_are_asked_at_most(
    dialers: Callable[..., Dialer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])
    with ExitStack() as stack:
        named = {
            form: [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(5)]
            if form.endswith("=tcp")
            else [stack.enter_context(_udp()) for _ in range(5)]
            for form in ("stun:{}", "turn:{}?transport=udp", "turn:{}?transport=tcp")
        }
        servers = [
            IceServer(form.format(f"127.0.0.1:{each.getsockname()[1]}"), "user", "credential")
            for form, places in named.items()
            for each in places
        ]

        await dialers(*servers).offer()

        asked = {form: [_was_asked(each) for each in places] for form, places in named.items()}
    first = [True, False, False, False, False]
    assert asked == dict.fromkeys(named, first)


def _udp() -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    return bound


def _was_asked(place: socket.socket) -> bool:
    """Whether a packet or a connection has come."""
    return bool(select.select([place], [], [], 0)[0])


async def test_servers_with_nonsensical_urls_are_left_out(dialers: Callable[..., Dialer]) -> None:
    caller = dialers(IceServer("nonsense"), IceServer("stun:"), IceServer("turn:x:y?z", "u", "c"))
    callee = dialers()

    await caller.accept(await callee.answer(await caller.offer()))

    assert isinstance(await caller.opened(), WebRtcPipe)


async def test_two_devices_on_one_computer_without_network_meet_on_loopback(
    dialers: Callable[..., Dialer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: [])
    caller, callee = dialers(IceServer("stun:192.0.2.1:9")), dialers()

    offer = await caller.offer()
    await caller.accept(await callee.answer(offer))

    assert " 127.0.0.1 " in offer
    assert (await caller.opened()).binding == (await callee.opened()).binding


async def test_a_device_that_is_offline_says_so(
    stranger: Stranger, dialers: Callable[..., Dialer], monkeypatch: pytest.MonkeyPatch
) -> None:
    answerable = await stranger.offer()
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: [])
    monkeypatch.setattr(dialer_module, "CONNECT_S", 0.1)
    dialer = dialers()

    await dialer.answer(answerable)

    with pytest.raises(ConnectFailed, match="this device is on no network"):
        await dialer.opened()


async def test_a_device_without_any_usable_address_says_so(
    dialers: Callable[..., Dialer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["203.0.113.77"])
    dialer = dialers()

    with pytest.raises(ConnectFailed) as failed:
        await dialer.offer()

    assert failed.value.stage is Stage.GATHERING
    assert await failed_stage(dialer) is Stage.GATHERING


async def test_a_peer_that_never_answers_fails_within_the_bound(
    stranger: Stranger, dialers: Callable[..., Dialer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialer_module, "CONNECT_S", 0.1)
    dialer = dialers()

    await dialer.answer(await stranger.offer())

    assert await failed_stage(dialer) is Stage.ICE


# --- Closing, in every state. -------------------------------------------------------------------


async def test_closing_an_unused_dialer_ends_the_wait_for_it(
    dialers: Callable[..., Dialer],
) -> None:
    dialer = dialers()

    await dialer.close()

    assert await failed_stage(dialer) is Stage.ABANDONED


async def test_closing_while_gathering_ends_the_offer(dialers: Callable[..., Dialer]) -> None:
    dialer = dialers()
    offering = asyncio.create_task(dialer.offer())
    await asyncio.sleep(0)

    await dialer.close()

    with pytest.raises(ConnectFailed):
        await offering
    assert await failed_stage(dialer) is Stage.ABANDONED


async def test_closing_after_a_cancelled_offer_leaves_no_socket(
    dialers: Callable[..., Dialer],
) -> None:
    dialer = dialers()
    offering = asyncio.create_task(dialer.offer())
    await asyncio.sleep(0)
    offering.cancel()

    await dialer.close()

    assert await failed_stage(dialer) is Stage.ABANDONED


async def test_closing_while_connecting_ends_the_attempt(
    stranger: Stranger, dialers: Callable[..., Dialer]
) -> None:
    dialer = dialers()
    await dialer.answer(await stranger.offer())

    await dialer.close()

    assert await failed_stage(dialer) is Stage.ABANDONED


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_closing_at_any_moment_of_connecting_leaves_nothing(
    turns: int, dialers: Callable[..., Dialer]
) -> None:
    caller, callee = dialers(), dialers()
    await caller.accept(await callee.answer(await caller.offer()))
    for _ in range(turns):
        await asyncio.sleep(0)

    await asyncio.gather(caller.close(), callee.close())


async def test_closing_waits_for_the_peer_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webrtc, "CLOSE_S", 3600)
    monkeypatch.setattr(webrtc, "BEAT_S", 3600)
    one, other = await webrtc_pair()
    one.send(bytes(limits.MESSAGE_BYTES))

    async with asyncio.timeout(20):
        await one.close()
    await other.close()


async def test_closing_the_dialer_closes_the_pipe_that_it_opened(
    stranger: Stranger, dialers: Callable[..., Dialer]
) -> None:
    dialer, recorder = dialers(), Recorder()
    (await stranger.called_by(dialer)).listen(recorder)

    await dialer.close()

    assert recorder.reasons == [CloseReason.LOCAL]


@pytest.mark.parametrize("layer", ["channel", "sctp", "dtls", "connection"])
async def test_a_peer_that_closes_any_layer_is_noticed_at_once(
    layer: str, stranger: Stranger, dialers: Callable[..., Dialer]
) -> None:
    recorder = Recorder()
    (await stranger.called_by(dialers())).listen(recorder)

    await stranger.close_layer(layer)

    await recorder.until(lambda: bool(recorder.reasons), "the pipe closed")
    assert recorder.reasons == [CloseReason.REMOTE]
