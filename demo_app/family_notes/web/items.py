"""The lists of notes: each answers a form with the list as it is then, or with the note's page."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from family_notes.model import ITEM_CHARS
from family_notes.web.page import Space, field, go, is_live, part, space_of


async def add_item(request: Request) -> Response:
    """Add an item to a note's list."""
    space = await space_of(request)
    text = field(await request.form(), "text", ITEM_CHARS)
    if text:
        await space.notebook.add_item(request.path_params["note"], text)
    return await _list(request, space)


async def tick_item(request: Request) -> Response:
    """Tick an item, or take the tick away."""
    space = await space_of(request)
    done = (await request.form()).get("done") == "yes"
    await space.notebook.tick(request.path_params["item"], done=done)
    return await _list(request, space)


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
    return await _list(request, space)


async def _list(request: Request, space: Space) -> Response:
    id = request.path_params["note"]
    if not is_live(request):
        return go(request, "note", space=space.id, note=id)
    note = await space.notebook.note(id)
    items = (await space.notebook.items([id])).get(id, [])
    return part(request, "notes/items.html", space=space, note=note, items=items)


routes = [
    Route("/s/{space}/n/{note}/items", add_item, methods=["POST"], name="add-item"),
    Route("/s/{space}/n/{note}/i/{item}/tick", tick_item, methods=["POST"], name="tick-item"),
    Route("/s/{space}/n/{note}/i/{item}", change_item, methods=["POST"], name="change-item"),
]
