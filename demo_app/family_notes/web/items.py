"""The lists of notes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from family_notes.model import ITEM_CHARS
from family_notes.web.page import field, finished, space_of


async def add_item(request: Request) -> Response:
    """Add an item to a note's list."""
    space = await space_of(request)
    text = field(await request.form(), "text", ITEM_CHARS)
    if text:
        await space.notebook.add_item(request.path_params["note"], text)
    return finished(request, "note", space=space.id, note=request.path_params["note"])


async def tick_item(request: Request) -> Response:
    """Tick an item, or take the tick away."""
    space = await space_of(request)
    done = (await request.form()).get("done") == "yes"
    await space.notebook.tick(request.path_params["item"], done=done)
    return finished(request, "note", space=space.id, note=request.path_params["note"])


async def change_item(request: Request) -> Response:
    """Reword an item, move it up or down, or take it off the list."""
    space = await space_of(request)
    note, item = request.path_params["note"], request.path_params["item"]
    form = await request.form()
    match form.get("do"):
        case "up":
            await space.notebook.lift(note, item, by=-1)
        case "down":
            await space.notebook.lift(note, item, by=1)
        case "remove":
            await space.notebook.remove_item(item)
        case _:
            text = field(form, "text", ITEM_CHARS)
            if text:
                await space.notebook.reword(item, text)
    return finished(request, "note", space=space.id, note=request.path_params["note"])


routes = [
    Route("/s/{space}/n/{note}/items", add_item, methods=["POST"], name="add-item"),
    Route("/s/{space}/n/{note}/i/{item}/tick", tick_item, methods=["POST"], name="tick-item"),
    Route("/s/{space}/n/{note}/i/{item}", change_item, methods=["POST"], name="change-item"),
]
