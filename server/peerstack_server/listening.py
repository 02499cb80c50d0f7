"""Where connections come in: an address of its own, or a socket that systemd holds.

A socket that is handed over outlives the process: who connects while one process ends and the next
begins has to wait, and is not refused.
https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

from aiohttp import web

from peerstack_server.settings import InvalidSetting, Settings

BACKLOG: Final = 1_024
FIRST_HANDED_OVER: Final = 3


async def listen(runner: web.AppRunner, settings: Settings) -> tuple[web.BaseSite, str]:
    """Begin to accept connections, and at which URL.

    Raises `InvalidSetting` if the address cannot be listened on or the TLS files cannot be read.
    """
    tls = _tls(settings)
    handed_over = _handed_over()
    site: web.BaseSite
    if handed_over is not None:
        site = web.SockSite(runner, handed_over, ssl_context=tls, backlog=BACKLOG)
    else:
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=tls, backlog=BACKLOG)
    try:
        await site.start()
    except OSError as error:
        raise InvalidSetting(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}. Stop "
            "what listens there, or choose another address with --host and --port"
        ) from None
    host, port = runner.addresses[0][:2]
    return site, f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _handed_over() -> socket.socket | None:
    """The one socket that systemd opened for this process, if there is one."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    if os.environ.get("LISTEN_FDS") != "1":
        raise InvalidSetting("systemd is to hand over one socket: give its unit one ListenStream=")
    return socket.socket(fileno=FIRST_HANDED_OVER)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSetting(
            f"cannot use --tls-certificate {settings.tls_certificate} with --tls-key "
            f"{settings.tls_key}: {error}"
        ) from None
    return context
