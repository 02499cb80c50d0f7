"""What keeps open pages up to date: one stream of server-sent events for each."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from family_notes.news import SPACES, STATUS, News
from family_notes.web.page import current_connection, desk_of, part, spaces_of

NOTES = "notes"
"""The event that tells of the group that a page is about; the others are called as their topics."""


async def stream(request: Request) -> Response:
    """Events without content: the page asks for what it shows of the matter.

    `status`, `spaces` and `notes` are the counts that the page was made at, `group` is what it is
    about.
    """
    asked = request.query_params
    topics = {topic: _number(asked.get(topic)) for topic in (STATUS, SPACES)}
    if asked.get("group"):
        topics[asked["group"]] = _number(asked.get("notes"))
    news = desk_of(request).news
    return StreamingResponse(_events(news, topics), media_type="text/event-stream")


async def _events(news: News, seen: dict[str, int]) -> AsyncIterator[str]:
    yield ": hello\n\n"
    async for topic, count in news.listen(seen):
        name = topic if topic in (STATUS, SPACES) else NOTES
        yield f"event: {name}\ndata: {count}\n\n"


async def show_connection(request: Request) -> Response:
    """How this device stands to the others, for the corner of each page."""
    return part(request, "parts/connection.html", connection=await current_connection(request))


async def show_spaces(request: Request) -> Response:
    """Where one can go, for the side of each page; `at` is where one is."""
    spaces = await spaces_of(request)
    return part(request, "parts/spaces.html", spaces=spaces, at=request.query_params.get("at", ""))


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() else -1


routes = [
    Route("/live", stream, name="live"),
    Route("/connection", show_connection, name="connection"),
    Route("/spaces", show_spaces, name="spaces"),
]
