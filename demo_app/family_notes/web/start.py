"""The first start: what to call whoever writes here, or that they write elsewhere already."""

from __future__ import annotations

import getpass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import peerstack
from family_notes.web.page import PRIVATE, desk_of, field, go, render

_NAME_CHARS: Final = 60


async def home(request: Request) -> Response:
    """Where one begins: the first family, or the private notes."""
    if not desk_of(request).has_begun:
        return go(request, "welcome")
    families = await desk_of(request).node.groups()
    return go(request, "notes", space=families[0].id if families else PRIVATE)


async def welcome(request: Request) -> Response:
    """Ask for a name, which nobody can change later."""
    if desk_of(request).has_begun:
        return go(request, "home")
    return await render(request, "welcome.html", name=_login_name(), problem=None)


async def begin(request: Request) -> Response:
    """Make the profile, and begin to write."""
    name = field(await request.form(), "name", _NAME_CHARS)
    try:
        await desk_of(request).begin(name)
    except peerstack.InvalidValue as error:
        return await render(request, "welcome.html", None, 400, name=name, problem=str(error))
    return go(request, "home")


def _login_name() -> str:
    """How the system calls whoever runs this, as a name."""
    try:
        return getpass.getuser().capitalize()
    except (KeyError, OSError):
        return ""


routes = [
    Route("/", home, name="home"),
    Route("/welcome", welcome, name="welcome"),
    Route("/begin", begin, methods=["POST"], name="begin"),
]
