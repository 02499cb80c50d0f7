"""One running app: the port, the pages on it, and the browser that it opens."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from typing import Final

import uvicorn

from family_notes.desk import Desk
from family_notes.news import News
from family_notes.web.app import make_app
from family_notes.web.walls import Door

LOOPBACK: Final = "127.0.0.1"
_LAST_ANSWERS_S: Final = 2


class CannotListen(Exception):
    """The port is somebody else's."""


async def serve(desk: Desk, port: int, ready: Callable[[Door], None]) -> None:
    """Serve a desk's pages until SIGTERM or SIGINT; `ready` is called once they can be opened.

    Raises `CannotListen`.
    """
    with _listening(port) as listener:
        door = Door(f"{LOOPBACK}:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            make_app(desk, door),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_LAST_ANSWERS_S,
        )
        server = _Server(config, desk.news)
        _stop_on_signals(server)
        ready(door)
        await server.serve([listener])


class _Server(uvicorn.Server):
    """Ends the streams of open pages before it waits for what is under way."""

    def __init__(self, config: uvicorn.Config, news: News) -> None:
        super().__init__(config)
        self._news = news

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours: uvicorn would raise them again, before the desk is closed."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server.shutdown`."""
        self._news.close()
        await super().shutdown(sockets)


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
            # Before the address is told to anybody, or they might come too early.
            listener.listen()
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {LOOPBACK}:{port}: {error.strerror}; choose another --port"
            ) from error
        yield listener


def _stop_on_signals(server: uvicorn.Server) -> None:
    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


@contextmanager
def opened_in_browser(door: Door) -> Iterator[None]:
    """Open the app in the browser, by a file that leads there and that nobody else may read.

    Other users of the machine can read the arguments of a browser that is started, so the address
    must not be among them. The file lies in the home folder, where a browser in a sandbox can read
    it too, until this ends.
    """
    handle, name = tempfile.mkstemp(".html", "family-notes-", Path.home())
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            address = escape(door.address)
            file.write(
                f'<!doctype html><meta charset="utf-8"><title>Family notes</title>'
                f'<meta http-equiv="refresh" content="0; url={address}">'
                f'<p><a href="{address}">Open Family notes</a></p>'
            )
        uri = Path(name).as_uri()
        # Some browsers are waited for until they are closed.
        threading.Thread(target=webbrowser.open, args=(uri,), daemon=True).start()
        yield
    finally:
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)
