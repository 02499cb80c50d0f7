"""What socket.io's own clients get to see, and what the library keeps of a connection."""

from __future__ import annotations

import asyncio
import base64
from contextlib import AsyncExitStack
from types import CoroutineType
from typing import Any

import pytest
import socketio

from peerstack.signaling import wire
from peerstack_server.asgi import text_frame
from tests.raw_socket import raw_device, raw_socket
from tests.server.here import server_here
from tests.server_process import running_server
from tests.signaling_device import online

pytestmark = pytest.mark.asyncio

WITHIN_S = 20.0
SERVICE = "AsyncServer._service_task"
TOPIC64 = base64.b64encode(b"t" * 32).decode()


async def test_socketios_own_client_is_served_and_stays_while_it_shows_signs_of_life() -> None:
    with running_server("--ping-s", "1") as url:
        heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        async with AsyncExitStack() as stack, asyncio.timeout(WITHIN_S):
            client = socketio.AsyncClient(reconnection=False)
            client.on("welcome", heard.put)
            client.on("signal", heard.put)
            await client.connect(url, transports=["websocket"])
            stack.push_async_callback(client.disconnect)
            address = (await heard.get())["address"]
            assert await client.call("join", {"topics": [TOPIC64]}) == {}
            witness, _ = await stack.enter_async_context(raw_device(url))
            for _ in range(3):
                while await witness.ws.receive_str() != wire.PING_FRAME:
                    pass
                await witness.say("3")

            box = base64.b64encode(b"box").decode()
            assert await client.call("signal", {"to": address, "box": box}) == {"delivered": True}
            assert await heard.get() == {"box": box, "sender": address}
            assert client.connected


async def test_a_device_is_told_how_often_it_has_to_show_signs_of_life() -> None:
    with running_server("--ping-s", "7") as url:
        async with raw_socket(url) as socket:
            opening = await socket.hear("0")

    assert (opening["pingInterval"], opening["pingTimeout"]) == (7_000, 7_000)


async def test_who_was_not_let_in_yet_is_answered_nothing_and_told_nothing() -> None:
    with running_server() as url:
        async with raw_socket(url) as early:
            await early.say('421["ice",{}]')
            await early.say("40{}")
            frames = [await early.ws.receive_str() for _ in range(3)]

    assert [frame[:2] for frame in frames] == ["0{", "40", "42"]


async def test_who_asks_to_be_let_in_again_keeps_its_address() -> None:
    with running_server() as url:
        async with raw_device(url) as (eve, address), online(url) as ana:
            await eve.say("40{}")
            await eve.ask("ice", {})

            assert await ana.client.signal(address, b"box")
            assert (await eve.hear_event("signal"))["sender"] == ana.address


async def test_a_frame_says_its_length_in_the_form_that_its_length_calls_for() -> None:
    # https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    assert text_frame(b"a" * 125)[:3] == b"\x81\x7da"
    assert text_frame(b"a" * 126)[:5] == b"\x81\x7e\x00\x7ea"
    assert text_frame(b"a" * 65_535)[:5] == b"\x81\x7e\xff\xffa"


async def test_boxes_of_all_sizes_arrive_whole() -> None:
    with running_server() as url:
        async with online(url) as ana:
            boxes = [bytes(size) for size in range(1, 100)]
            for box in boxes:
                assert await ana.client.signal(ana.address, box)
            await ana.next(wire.Signaled, len(boxes))

            assert [event.box for event in ana.all(wire.Signaled)] == boxes


async def test_once_a_device_is_let_in_no_task_of_the_library_is_kept_for_it() -> None:
    async with server_here() as here, AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(raw_device(here.url))
        # Its last one ends shortly after a greeting.
        ending = [task for task in library_tasks() if named(task) != SERVICE]
        if ending:
            await asyncio.wait(ending, timeout=WITHIN_S)

        assert here.rooms.counts().connections == 10
        assert [named(task) for task in library_tasks()] == [SERVICE]


def library_tasks() -> list[asyncio.Task[Any]]:
    """What runs now that engine.io or socket.io began."""
    return [
        task
        for task in asyncio.all_tasks()
        if isinstance(begun := task.get_coro(), CoroutineType)
        and "engineio" in begun.cr_code.co_filename
    ]


def named(task: asyncio.Task[Any]) -> str:
    """What a task does."""
    return getattr(task.get_coro(), "__qualname__", "")
