"""Two processes, as two devices are, with nothing in common but two lines of text."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from peerstack import limits
from peerstack.testing.contract import Recorder
from peerstack.transport import webrtc
from peerstack.transport.base import CloseReason
from peerstack.transport.dialer import Dialer

pytestmark = pytest.mark.usefixtures("quiet_loop")

SCRIPT = Path(__file__).with_name("answering_process.py")


@pytest.fixture
async def other_process() -> AsyncIterator[Process]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), stdin=PIPE, stdout=PIPE, env=environment
    )
    yield process
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def line_from(process: Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def call(dialer: Dialer, process: Process) -> webrtc.WebRtcPipe:
    assert process.stdin is not None
    process.stdin.write(json.dumps(await dialer.offer()).encode() + b"\n")
    await dialer.accept(json.loads(await line_from(process)))
    return await dialer.opened()


async def test_messages_cross_between_processes_and_so_does_the_close(
    other_process: Process,
) -> None:
    pipe, recorder = await call(Dialer(), other_process), Recorder()
    pipe.listen(recorder)
    sent = [bytes([number]) * limits.MESSAGE_BYTES for number in range(50)]

    for message in sent:
        pipe.send(message)
    await recorder.until(lambda: len(recorder.messages) == len(sent), "all came back")
    await pipe.close()

    assert recorder.messages == [message[::-1] for message in sent]
    assert await line_from(other_process) == CloseReason.REMOTE
    assert await other_process.wait() == 0


async def test_a_killed_peer_is_noticed(
    other_process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webrtc, "BEAT_S", 0.1)
    pipe, recorder = await call(Dialer(), other_process), Recorder()
    pipe.listen(recorder)
    pipe.send(b"are you there?")
    await recorder.until(lambda: bool(recorder.messages), "the echo")

    other_process.kill()

    await recorder.until(lambda: bool(recorder.reasons), "the pipe closed")
    assert recorder.reasons == [CloseReason.LOST]
    await pipe.close()
