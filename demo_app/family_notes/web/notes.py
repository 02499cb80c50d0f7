"""The pages of notes: those of a space, one of them, its editor, its history."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from family_notes import text
from family_notes.model import (
    BODY_CHARS,
    ITEM_CHARS,
    LABEL_CHARS,
    LABELS,
    TITLE_CHARS,
    Draft,
    Note,
    Place,
    clean_labels,
    place_of,
)
from family_notes.notebook import PAGE_NOTES
from family_notes.web.page import (
    Space,
    desk_of,
    field,
    finished,
    go,
    names_of,
    part,
    render,
    space_of,
)

_WORDS_CHARS = 500
_LABELS_CHARS = LABELS * (LABEL_CHARS + 2)


async def show_notes(request: Request) -> Response:
    """The notes of a space: those on the desk, in the archive or in the bin, of a label or all."""
    space = await space_of(request)
    shown = await _listing(request, space)
    binned = request.query_params.get("binned")
    shown["binned"] = await space.notebook.note(binned) if binned else None
    shown["labels"] = await space.notebook.labels()
    return await render(request, "notes/list.html", space, **shown)


async def show_found(request: Request) -> Response:
    """The notes of a space that have the words that somebody looks for."""
    space = await space_of(request)
    text = request.query_params.get("words", "")[:_WORDS_CHARS]
    found = await space.notebook.search(text)
    items = await space.notebook.items(note.id for note in found)
    return await render(request, "notes/found.html", space, words=text, found=found, items=items)


async def show_cards(request: Request) -> Response:
    """The cards alone: for a page that is open, and that something has changed for."""
    space = await space_of(request)
    shown = await _listing(request, space)
    names = await names_of(request)
    return part(request, "notes/cards.html", space=space, names=names, **shown)


async def _listing(request: Request, space: Space) -> dict[str, Any]:
    """What `notes/cards.html` shows."""
    asked = request.query_params
    place = place_of(asked.get("show"))
    label, after = asked.get("label"), asked.get("after")
    book = space.notebook
    apart = place is Place.DESK and after is None
    pinned = await book.notes(place, pinned=True, label=label) if apart else []
    rest = False if place is Place.DESK else None
    others = await book.notes(place, pinned=rest, label=label, after=after)
    items = await book.items(note.id for note in [*pinned, *others])
    query = {"show": place.value} | ({"label": label} if label else {})
    more = query | {"after": others[-1].id} if len(others) == PAGE_NOTES else None
    return {
        "place": place,
        "label": label,
        "pinned": pinned,
        "others": others,
        "items": items,
        "replaced": len(await book.replaced(desk_of(request).node.user.id)),
        "query": query | ({"after": after} if after else {}),
        "more": more,
    }


async def new_note(request: Request) -> Response:
    """An empty editor."""
    space = await space_of(request)
    label = request.query_params.get("label")
    draft = Draft(labels=(label,) if label else ())
    return await _editor(request, space, draft)


async def create_note(request: Request) -> Response:
    """Keep a new note; what is empty is not kept."""
    space = await space_of(request)
    form = await request.form()
    draft = _draft(form)
    lines = field(form, "items", BODY_CHARS).splitlines()
    items = [line.strip()[:ITEM_CHARS] for line in lines if line.strip()]
    if draft.is_empty and not items:
        return go(request, "notes", space=space.id)
    note = await space.notebook.write(draft, items)
    return go(request, "note", space=space.id, note=note.id)


async def show_note(request: Request) -> Response:
    """One note, with its list."""
    space = await space_of(request)
    return await render(request, "notes/show.html", space, **await _shown(request, space))


async def show_note_part(request: Request) -> Response:
    """What of a note's page changes while it is open."""
    space = await space_of(request)
    names = await names_of(request)
    shown = await _shown(request, space)
    return part(request, "notes/note.html", space=space, names=names, **shown)


async def _shown(request: Request, space: Space) -> dict[str, Any]:
    note = await space.notebook.note(request.path_params["note"])
    items = (await space.notebook.items([note.id])).get(note.id, [])
    return {"note": note, "items": items, "reach": await space.notebook.reach(note.id, items)}


async def show_reach(request: Request) -> Response:
    """Which devices have the note: for a page that is open."""
    space = await space_of(request)
    return part(request, "notes/reach.html", space=space, **await _shown(request, space))


async def edit_note(request: Request) -> Response:
    """The editor with a note in it."""
    space = await space_of(request)
    note = await space.notebook.note(request.path_params["note"])
    return await _editor(request, space, note.draft, note)


async def save_note(request: Request) -> Response:
    """Keep an edit; where somebody else wrote meanwhile, show both first."""
    space = await space_of(request)
    form = await request.form()
    id, draft = request.path_params["note"], _draft(form)
    seen = [str(each) for each in form.getlist("seen")]
    now = await space.notebook.note(id)
    if now.version not in seen:
        return await _editor(request, space, draft, now, seen=[*seen, now.version], theirs=now)
    await space.notebook.rewrite(id, draft, seen)
    return go(request, "note", space=space.id, note=id)


async def _editor(
    request: Request,
    space: Space,
    draft: Draft,
    note: Note | None = None,
    *,
    seen: list[str] | None = None,
    theirs: Note | None = None,
) -> Response:
    """`theirs` is a version that the writer has not seen yet, to be shown beside their own."""
    return await render(
        request,
        "notes/edit.html",
        space,
        draft=draft,
        note=note,
        versions=seen or ([note.version] if note else []),
        theirs=theirs,
        known=await space.notebook.labels(),
    )


async def show_whether_newer(request: Request) -> Response:
    """For an open editor: whether somebody else has changed the note meanwhile."""
    space = await space_of(request)
    note = await space.notebook.note(request.path_params["note"])
    seen = request.query_params.getlist("seen")
    names = await names_of(request)
    return part(
        request, "notes/newer.html", note=None if note.version in seen else note, names=names
    )


async def preview(request: Request) -> Response:
    """What the text in an editor will look like."""
    form = await request.form()
    return HTMLResponse(text.html(field(form, "body", BODY_CHARS)))


async def pin_note(request: Request) -> Response:
    """Pin a note, or take the pin out."""
    space = await space_of(request)
    pinned = (await request.form()).get("pinned") == "yes"
    await space.notebook.pin(request.path_params["note"], pinned=pinned)
    return finished(request, "note", space=space.id, note=request.path_params["note"])


async def move_note(request: Request) -> Response:
    """Put a note into the archive, into the bin, or back onto the desk."""
    space = await space_of(request)
    id, form = request.path_params["note"], await request.form()
    place = place_of(form.get("to"))
    await space.notebook.move(id, place)
    if place is Place.DESK:
        return go(request, "note", space=space.id, note=id)
    query = {"binned": id} if place is Place.BIN else {}
    return go(request, "notes", query, space=space.id)


async def delete_note(request: Request) -> Response:
    """Delete a note for good."""
    space = await space_of(request)
    await space.notebook.delete(request.path_params["note"])
    return go(request, "notes", {"show": Place.BIN.value}, space=space.id)


async def show_history(request: Request) -> Response:
    """The versions of a note that are kept."""
    space = await space_of(request)
    id = request.path_params["note"]
    note, versions = await space.notebook.note(id), await space.notebook.history(id)
    return await render(request, "notes/history.html", space, note=note, versions=versions)


async def restore_version(request: Request) -> Response:
    """Make an older version the present one."""
    space = await space_of(request)
    id, form = request.path_params["note"], await request.form()
    await space.notebook.restore(id, str(form.get("version")))
    return go(request, "note", space=space.id, note=id)


async def show_replaced(request: Request) -> Response:
    """What somebody else's edit has replaced, both versions side by side."""
    space = await space_of(request)
    replaced = await space.notebook.replaced(desk_of(request).node.user.id)
    return await render(request, "notes/replaced.html", space, replaced=replaced)


async def settle_replaced(request: Request) -> Response:
    """Keep what is live, or restore what it replaced."""
    space = await space_of(request)
    form = await request.form()
    await space.notebook.settle(str(form.get("key")), restore=form.get("choice") == "restore")
    left = await space.notebook.replaced(desk_of(request).node.user.id)
    return go(request, "replaced" if left else "notes", space=space.id)


def _draft(form: FormData) -> Draft:
    labels = field(form, "labels", _LABELS_CHARS).split(",")
    return Draft(
        field(form, "title", TITLE_CHARS), field(form, "body", BODY_CHARS), clean_labels(labels)
    )


routes = [
    Route("/s/{space}/", show_notes, name="notes"),
    Route("/s/{space}/search", show_found, name="search"),
    Route("/s/{space}/cards", show_cards, name="cards"),
    Route("/s/{space}/new", new_note, name="new-note"),
    Route("/s/{space}/notes", create_note, methods=["POST"], name="create-note"),
    Route("/s/{space}/replaced", show_replaced, name="replaced"),
    Route("/s/{space}/settle", settle_replaced, methods=["POST"], name="settle"),
    Route("/s/{space}/n/{note}", show_note, name="note"),
    Route("/s/{space}/n/{note}/part", show_note_part, name="note-part"),
    Route("/s/{space}/n/{note}/reach", show_reach, name="reach"),
    Route("/s/{space}/n/{note}/edit", edit_note, name="edit-note"),
    Route("/s/{space}/n/{note}/newer", show_whether_newer, name="newer"),
    Route("/s/{space}/n/{note}/save", save_note, methods=["POST"], name="save-note"),
    Route("/s/{space}/n/{note}/pin", pin_note, methods=["POST"], name="pin-note"),
    Route("/s/{space}/n/{note}/move", move_note, methods=["POST"], name="move-note"),
    Route("/s/{space}/n/{note}/delete", delete_note, methods=["POST"], name="delete-note"),
    Route("/s/{space}/n/{note}/history", show_history, name="history"),
    Route("/s/{space}/n/{note}/restore", restore_version, methods=["POST"], name="restore"),
    Route("/preview", preview, methods=["POST"], name="preview"),
]
