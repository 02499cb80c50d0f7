"""The walls around the pages: who may ask at all, how much they may send, what an answer may do.

The app listens on the loopback interface, where every other program of the machine can reach it,
other users' too, and every web page that a browser shows here. So:

- the `Host` has to be the one that we listen on, or a page from elsewhere could be pointed at us by
  a name of its own (DNS rebinding);
- the `Origin` has to be ours for all that changes anything, and the browser has to say that our
  own page asks, where it says who does (`Sec-Fetch-Site`): or a page from elsewhere could post;
- a cookie has to show that this browser was let in by the key in the opening address. Cookies know
  no ports, so it is bound to a path that nobody can guess: another program that listens here does
  not get to see it.

Pure ASGI. Knows no notes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "family-notes"
BODY_BYTES: Final = 512 * 1024
"""A form: a note of 60 KiB, with each byte escaped, and its list."""

UPLOAD_BYTES: Final = 256 * 1024 * 1024
"""What may be imported at once; a backup, and a recovery file."""

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    # Not "no-referrer": with that, browsers do not say where a form comes from.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}

_UPLOADS: Final = ("/transfer/import", "/start/backup", "/start/recovery")
_SAFE: Final = frozenset({"GET", "HEAD"})
_OWN_SITE: Final = frozenset({"", "none", "same-origin"})
_ENTERED: Final = """<!doctype html><html lang="en"><meta charset="utf-8">
<link rel="icon" href="static/icon.svg"><meta http-equiv="refresh" content="0; url=./">
<title>Family notes</title>
<p><a href="./">Open Family notes</a></p></html>"""
_CLOSED: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Family notes</title>
<h1>This page is locked</h1><p>Family notes opens to the browser that it was started with. Start it
again, or open the address that it printed.</p></html>"""


def _token() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True, slots=True)
class Door:
    """Where the app is to be found, and what lets a browser in."""

    host: str
    """As in `127.0.0.1:4321`."""
    place: str = field(default_factory=_token, repr=False)
    """The path below which all pages are."""
    key: str = field(default_factory=_token, repr=False)
    session: str = field(default_factory=_token, repr=False)

    @property
    def origin(self) -> str:
        """What a browser calls our own pages."""
        return f"http://{self.host}"

    @property
    def path(self) -> str:
        """The path of the first page."""
        return f"/{self.place}/"

    @property
    def address(self) -> str:
        """What to open: it lets in whoever has it, for as long as the app runs."""
        return f"{self.origin}{self.path}enter?key={self.key}"


class Walls:
    """An ASGI app behind the walls."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            guarded = _with_headers(send)
            answer = self._refusal(scope) or self._entrance(scope)
            if answer is not None:
                await answer(scope, receive, guarded)
            else:
                await self._app(scope, _bounded(scope, receive), guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.getlist("host") != [self._door.host]:
            return PlainTextResponse("This is not the address of Family notes.", 421)
        if not self._is_own_page(scope, headers):
            return PlainTextResponse("Another page may not do this.", 403)
        if _length(headers) > _limit(scope):
            return PlainTextResponse("This is too much at once.", 413)
        return None

    def _is_own_page(self, scope: Scope, headers: Headers) -> bool:
        """Whether one of our pages asks, or the browser's user themselves."""
        origin = headers.get("origin")
        if scope["method"] not in _SAFE:
            return origin == self._door.origin and _from_own_site(headers)
        if origin not in (None, self._door.origin):
            return False
        # What opens us is a file, or another program.
        return _from_own_site(headers) or self._is_entrance(scope)

    def _is_entrance(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return scope["method"] == "GET" and path == f"{self._door.path}enter"

    def _entrance(self, scope: Scope) -> Response | None:
        if self._is_entrance(scope):
            return self._let_in(scope["query_string"].decode("ascii", "replace"))
        if not self._was_let_in(Headers(scope=scope)):
            return HTMLResponse(_CLOSED, 403)
        return None

    def _let_in(self, query: str) -> Response:
        """Exchange the key for a cookie.

        The page moves on by itself, rather than by a redirect: where a file has led here, a browser
        does not yet send a strict cookie with that.
        """
        if not secrets.compare_digest(query.encode(), f"key={self._door.key}".encode()):
            return HTMLResponse(_CLOSED, 403)
        response = HTMLResponse(_ENTERED)
        response.set_cookie(
            COOKIE, self._door.session, path=self._door.path, httponly=True, samesite="strict"
        )
        return response

    def _was_let_in(self, headers: Headers) -> bool:
        """Any of the cookies will do: another program here may have set one of the same name."""
        wanted = f"{COOKIE}={self._door.session}".encode()
        cookies = [each for text in headers.getlist("cookie") for each in text.split(";")]
        return any(secrets.compare_digest(each.strip().encode(), wanted) for each in cookies)


def _from_own_site(headers: Headers) -> bool:
    return headers.get("sec-fetch-site", "") in _OWN_SITE


def _length(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdecimal() else UPLOAD_BYTES + 1


def _limit(scope: Scope) -> int:
    path: str = scope["path"]
    return UPLOAD_BYTES if path.endswith(_UPLOADS) else BODY_BYTES


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """What comes, up to the limit: a body need not say how long it is."""
    left = _limit(scope)

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, "This is too much at once.")
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return guarded
