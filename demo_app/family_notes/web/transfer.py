"""The pages by which notes come from and go to other programs."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import peerstack
from family_notes.transfer import files
from family_notes.transfer.form import LeftOut, Parcel
from family_notes.transfer.job import Job, bring_in, take_out
from family_notes.web.device import attachment
from family_notes.web.page import Space, desk_of, go, part, render, spaces_of

_FILES: Final = 5_000


async def show_transfer(request: Request) -> Response:
    """Where files are brought and taken."""
    return await render(request, "device/transfer.html", job=_job(request))


async def show_job(request: Request) -> Response:
    """How far the import has come; nothing once it has ended and said so."""
    job = _job(request)
    if job is None:
        return Response(status_code=204)
    if job.ended:
        request.app.state.job = None
    return part(request, "device/job.html", job=job)


async def import_files(request: Request) -> Response:
    """Read files, and write what is in them beside the pages."""
    running = _job(request)
    if running is not None and not running.ended:
        raise peerstack.InvalidValue("another import is under way; wait until it has ended")
    async with request.form(max_files=_FILES) as form:
        space = await _space(request, str(form.get("space")))
        brought = [each for each in form.getlist("files") if isinstance(each, UploadFile)]
        found = await asyncio.to_thread(_read, brought)
    job = Job(space.name, sum(isinstance(each, Parcel) for each in found))
    request.app.state.job = job
    desk_of(request).spawn(bring_in(space.group, found, job))
    return go(request, "transfer")


def _read(brought: list[UploadFile]) -> list[Parcel | LeftOut]:
    return [each for file in brought for each in files.read(file.filename or "a file", file.file)]


async def export(request: Request) -> Response:
    """All notes of a space as one file."""
    space = await _space(request, request.query_params.get("space", ""))
    parcels = await take_out(space.notebook)
    if request.query_params.get("as") == "jsonl":
        return attachment(await asyncio.to_thread(files.write_lines, parcels), "notes.jsonl")
    return attachment(await asyncio.to_thread(files.write_zip, parcels), "notes.zip")


async def _space(request: Request, wanted: str) -> Space:
    for space in await spaces_of(request):
        if space.id == wanted:
            return space
    raise peerstack.NotFound("choose one of your families, or your private notes")


def _job(request: Request) -> Job | None:
    job: Job | None = request.app.state.job
    return job


routes = [
    Route("/transfer", show_transfer, name="transfer"),
    Route("/transfer/job", show_job, name="job"),
    Route("/transfer/import", import_files, methods=["POST"], name="import"),
    Route("/transfer/export", export, name="export"),
]
