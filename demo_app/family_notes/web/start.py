"""The first start: what to call whoever writes here; or how somebody comes back."""

from __future__ import annotations

import asyncio
import getpass
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import peerstack
from family_notes.connection import in_words
from family_notes.web.page import PRIVATE, desk_of, field, go, render, secret

_NAME_CHARS: Final = 60
_WORDS_CHARS: Final = 1_000


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


# --- Coming back. -------------------------------------------------------------------------------


async def ask_for_backup(request: Request) -> Response:
    """Ask for a backup and its password."""
    return await _ask(request, "start/backup.html")


async def restore(request: Request) -> Response:
    """Make the profile from a backup."""
    async with request.form() as form, _saved(form) as path:
        try:
            await desk_of(request).restore(path, secret(form, "password"))
        except peerstack.PeerstackError as error:
            return await _ask(request, "start/backup.html", in_words(str(error)))
    return go(request, "home")


async def ask_for_words(request: Request) -> Response:
    """Ask for the recovery phrase and the kit."""
    return await _ask(request, "start/recovery.html")


async def recover(request: Request) -> Response:
    """Take a user back, and show the words that take the place of the old ones."""
    async with request.form() as form, _saved(form) as path:
        words = " ".join(field(form, "words", _WORDS_CHARS).lower().split())
        try:
            end_others = form.get("others") == "end"
            await desk_of(request).recover(words, path, end_others=end_others)
        except peerstack.PeerstackError as error:
            return await _ask(request, "start/recovery.html", in_words(str(error)))
    return go(request, "recovery")


async def _ask(request: Request, template: str, problem: str | None = None) -> Response:
    if problem is None and desk_of(request).has_begun:
        return go(request, "home")
    return await render(request, template, None, 400 if problem else 200, problem=problem)


@asynccontextmanager
async def _saved(form: FormData) -> AsyncIterator[Path]:
    """The file of a form at a path, as long as it is needed; an empty one where there is none."""
    brought = form.get("file")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        with path.open("wb") as file:
            if isinstance(brought, UploadFile):
                await asyncio.to_thread(shutil.copyfileobj, brought.file, file)
        yield path


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
    Route("/start/backup", ask_for_backup, name="ask-for-backup"),
    Route("/start/backup", restore, methods=["POST"], name="restore-backup"),
    Route("/start/recovery", ask_for_words, name="ask-for-words"),
    Route("/start/recovery", recover, methods=["POST"], name="recover"),
]
