"""The pages of this device: its connection, one's other devices, recovery, and its end."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import peerstack
from family_notes.connection import in_words
from family_notes.linking import Arriving, Giving, Step
from family_notes.web.page import current_connection, desk_of, field, go, part, render, secret

_SERVER_CHARS: Final = 512
_LINK_CHARS: Final = 8_192
_WORD_CHARS: Final = 40
_WORDS: Final = 24
_ASKED: Final = 3
_PASSWORD_CHARS: Final = 10
_PIECE_BYTES: Final = 64 * 1024
_ERASE: Final = "erase"


async def show_device(request: Request) -> Response:
    """All about this device, on one page."""
    desk = desk_of(request)
    status = desk.news.status
    return await render(
        request,
        "device/show.html",
        servers=desk.node.server_urls,
        devices=await desk.node.devices(),
        advice=[in_words(each) for each in status.advice] if status is not None else [],
    )


async def show_connection(request: Request) -> Response:
    """The connection alone: for a page that is open."""
    connection = await current_connection(request)
    return part(request, "device/connection.html", connection=connection)


async def add_server(request: Request) -> Response:
    """Meet others by a further server."""
    address = field(await request.form(), "server", _SERVER_CHARS)
    await desk_of(request).node.add_server(address)
    return go(request, "device")


async def end_device(request: Request) -> Response:
    """Revoke another device of one's own."""
    await desk_of(request).node.revoke_device(request.path_params["device"])
    return go(request, "device")


# --- Linking another device, from here. -------------------------------------------------------


async def show_link(request: Request) -> Response:
    """Where another device is linked, step by step."""
    giving = _giving(request)
    await giving.look()
    shown = await render(request, "device/link.html", linking=giving)
    if giving.step is Step.DONE:
        await giving.cancel()
    return shown


async def show_link_part(request: Request) -> Response:
    """The present step alone; nothing where it is the one that the page says it shows."""
    giving = _giving(request)
    await giving.look()
    if request.query_params.get("shown") == giving.shown:
        return Response(status_code=204)
    return part(request, "device/linking.html", linking=giving)


async def start_link(request: Request) -> Response:
    """Make a link."""
    await _giving(request).start(desk_of(request).node)
    return go(request, "link")


async def confirm_link(request: Request) -> Response:
    """The digits are the same."""
    await _giving(request).confirm(field(await request.form(), "digits", _WORD_CHARS))
    return go(request, "link")


async def refuse_link(request: Request) -> Response:
    """The digits differ."""
    await _giving(request).refuse()
    return go(request, "link")


async def end_link(request: Request) -> Response:
    """Link nothing after all."""
    await _giving(request).cancel()
    return go(request, "device")


# --- Linking this device to another one. --------------------------------------------------------


async def show_link_here(request: Request) -> Response:
    """Where this device is given a link, and shows digits."""
    arriving = _arriving(request)
    if arriving.step is Step.DONE:
        return go(request, "home")
    return await render(request, "device/link_here.html", arriving=arriving)


async def show_link_here_part(request: Request) -> Response:
    """The present step alone; a page of its own once it has ended."""
    arriving = _arriving(request)
    if arriving.step not in (Step.WAITING, Step.COMPARE):
        return Response(headers={"HX-Refresh": "true"})
    return part(request, "device/arriving.html", arriving=arriving)


async def arrive(request: Request) -> Response:
    """Follow a link to another device of one's own."""
    _arriving(request).start(desk_of(request), field(await request.form(), "link", _LINK_CHARS))
    return go(request, "link-here")


# --- Recovery. ----------------------------------------------------------------------------------


async def show_recovery(request: Request) -> Response:
    """The words, while they are on this device; and the file."""
    words, told = await _words(request)
    return await render(request, "device/recovery.html", words=words, told=told)


async def check_words(request: Request) -> Response:
    """Ask for some of the words, and forget all where they are right."""
    if request.method == "GET":
        places = sorted(secrets.SystemRandom().sample(range(1, _WORDS + 1), _ASKED))
        return await render(request, "device/check.html", places=places, problem=None)
    form = await request.form()
    given = {
        place: field(form, f"word-{place}", _WORD_CHARS).lower()
        for place in range(1, _WORDS + 1)
        if f"word-{place}" in form
    }
    try:
        await desk_of(request).node.confirm_recovery(given)
    except peerstack.InvalidPhrase as error:
        shown: dict[str, Any] = {"places": list(given), "problem": str(error)}
        return await render(request, "device/check.html", None, 400, **shown)
    return go(request, "recovery")


async def save_kit(request: Request) -> Response:
    """The file that the words open, to be kept elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kit"
        await desk_of(request).node.write_kit(path)
        return attachment(path.read_bytes(), "family-notes-recovery.kit")


async def _words(request: Request) -> tuple[list[str], str]:
    """The words; or why there are none here."""
    try:
        return await desk_of(request).node.recovery_phrase(), ""
    except peerstack.NotAllowed as error:
        return [], str(error)


# --- Backup. ------------------------------------------------------------------------------------


async def ask_to_back_up(request: Request) -> Response:
    """Ask for the password of a backup."""
    return await render(request, "device/backup.html", problem=None)


async def back_up(request: Request) -> Response:
    """All that is on this device as one encrypted file, to be saved."""
    form = await request.form()
    password = secret(form, "password")
    problem = _weakness(password, secret(form, "again"))
    if problem is not None:
        return await render(request, "device/backup.html", None, 400, problem=problem)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backup"
        await desk_of(request).node.backup(path, password)
        # It has no name any more when it is sent, and is gone with that, however it ends.
        file = path.open("rb")
    day = f"{date.today():%Y-%m-%d}"
    return attachment(_pieces(file), f"family-notes-{day}.backup")


def _weakness(password: str, again: str) -> str | None:
    if len(password) < _PASSWORD_CHARS:
        return f"Take a longer password: {_PASSWORD_CHARS} characters at least, better some words."
    return None if password == again else "The two passwords differ. Write the same one twice."


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


# --- The end. -----------------------------------------------------------------------------------


async def ask_to_erase(request: Request) -> Response:
    """Say what erasing means, before it is done."""
    return await render(request, "device/erase.html", problem=None)


async def erase(request: Request) -> Response:
    """Remove everything from this machine."""
    if field(await request.form(), "word", _WORD_CHARS).lower() != _ERASE:
        said = "Nothing was erased: the word was another one."
        return await render(request, "device/erase.html", None, 400, problem=said)
    await _giving(request).cancel()
    await desk_of(request).erase()
    return go(request, "welcome")


def attachment(content: bytes | Iterator[bytes], name: str) -> Response:
    """Something to be saved, which no browser is to show."""
    pieces = iter([content]) if isinstance(content, bytes) else content
    return StreamingResponse(
        pieces,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _giving(request: Request) -> Giving:
    giving: Giving = request.app.state.giving
    return giving


def _arriving(request: Request) -> Arriving:
    arriving: Arriving = request.app.state.arriving
    return arriving


routes = [
    Route("/device", show_device, name="device"),
    Route("/device/connection", show_connection, name="device-connection"),
    Route("/device/servers", add_server, methods=["POST"], name="add-server"),
    Route("/device/end/{device}", end_device, methods=["POST"], name="end-device"),
    Route("/device/link", show_link, name="link"),
    Route("/device/link/part", show_link_part, name="link-part"),
    Route("/device/link/start", start_link, methods=["POST"], name="start-link"),
    Route("/device/link/confirm", confirm_link, methods=["POST"], name="confirm-link"),
    Route("/device/link/refuse", refuse_link, methods=["POST"], name="refuse-link"),
    Route("/device/link/end", end_link, methods=["POST"], name="end-link"),
    Route("/link", show_link_here, name="link-here"),
    Route("/link/part", show_link_here_part, name="link-here-part"),
    Route("/link/start", arrive, methods=["POST"], name="arrive"),
    Route("/device/recovery", show_recovery, name="recovery"),
    Route("/device/recovery/check", check_words, methods=["GET", "POST"], name="check-words"),
    Route("/device/recovery/kit", save_kit, methods=["POST"], name="kit"),
    Route("/device/backup", ask_to_back_up, name="ask-to-back-up"),
    Route("/device/backup", back_up, methods=["POST"], name="back-up"),
    Route("/device/erase", ask_to_erase, name="ask-to-erase"),
    Route("/device/erase", erase, methods=["POST"], name="erase"),
]
