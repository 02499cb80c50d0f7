"""The ASGI app: all pages behind the walls, and what is said where something cannot be done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

import peerstack
from family_notes.desk import Desk, NotBegun
from family_notes.linking import Arriving, Giving
from family_notes.web import device, families, items, live, notes, start, transfer
from family_notes.web.page import FOLDER, go, is_live, part, render
from family_notes.web.walls import Door, Walls

_AREAS = (start, notes, items, families, device, transfer, live)


def make_app(desk: Desk, door: Door) -> Walls:
    """The app for one desk, behind one door."""
    static = Mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    pages = [route for area in _AREAS for route in area.routes]
    app = Starlette(
        routes=[Mount(door.path.rstrip("/"), routes=[static, *pages])],
        exception_handlers={
            NotBegun: _to_the_beginning,
            HTTPException: _http,
            peerstack.NotFound: _saying(404),
            peerstack.NotAllowed: _saying(403),
            peerstack.LocalError: _saying(400),
            peerstack.StoreError: _saying(507),
        },
    )
    app.state.desk = desk
    app.state.giving, app.state.arriving, app.state.job = Giving(), Arriving(), None
    return Walls(app, door)


async def _to_the_beginning(request: Request, _: Exception) -> Response:
    return go(request, "welcome")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = "There is no such page." if error.status_code == 404 else error.detail
    return await _say(request, error.status_code, said)


def _saying(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def say(request: Request, error: Exception) -> Response:
        return await _say(request, status, str(error))

    return say


async def _say(request: Request, status: int, said: str) -> Response:
    """In place of a page; or, where a part of one was asked for, above all else on it.

    Where what an open page shows is gone, so is the page: it asks for nothing any more.
    """
    if is_live(request) and request.method == "GET" and status in (403, 404):
        gone = part(request, "parts/problem.html", said=said)
        gone.headers.update({"HX-Retarget": "#main", "HX-Reswap": "innerHTML"})
        return gone
    if is_live(request):
        return part(request, "parts/notice.html", status, said=said)
    return await render(request, "problem.html", None, status, said=said)
