"""What all pages share: the templates, what stands in each, and the fields of a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

import peerstack
from family_notes import text
from family_notes.connection import Connection, connection
from family_notes.desk import Desk
from family_notes.news import SPACES, STATUS
from family_notes.notebook import Notebook

FOLDER: Final = Path(__file__).parent.parent
PRIVATE: Final = "private"
"""What the group of one's own devices is called in an address."""

_SECRET_CHARS: Final = 1_000

_environment = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Space:
    """One group as pages have it: a family, or the private one."""

    id: str
    """What stands in an address."""
    name: str
    group: peerstack.Group
    members: Sequence[peerstack.Member]
    role: str = "reader"
    """One's own."""

    @property
    def is_private(self) -> bool:
        """Whether nobody but oneself is in it."""
        return self.id == PRIVATE

    @property
    def may_write(self) -> bool:
        """Whether one may change anything in it."""
        return self.role in ("writer", "admin")

    @property
    def notebook(self) -> Notebook:
        """Its notes."""
        return Notebook(self.group)


def desk_of(request: Request) -> Desk:
    """The desk that the app was made for."""
    desk: Desk = request.app.state.desk
    return desk


def url(request: Request, name: str, /, query: Mapping[str, str] | None = None, **at: Any) -> str:
    """The path of a page, by the name of its route."""
    path = str(request.app.url_path_for(name, **at))
    return f"{path}?{urlencode(query)}" if query else path


def go(
    request: Request, name: str, /, query: Mapping[str, str] | None = None, **at: Any
) -> Response:
    """Go on at another page, behind a form."""
    return RedirectResponse(url(request, name, query, **at), 303)


def finished(request: Request, name: str, /, **at: Any) -> Response:
    """Something was done: a page that is open is told to show it, or goes on at another one."""
    if is_live(request):
        return Response(status_code=204, headers={"HX-Trigger": "changed"})
    return go(request, name, **at)


async def spaces_of(request: Request) -> list[Space]:
    """The private space and each family, by name; asked once in a request."""
    found: list[Space] | None = getattr(request.state, "spaces", None)
    if found is None:
        node = desk_of(request).node
        found = [Space(PRIVATE, "Private", node.personal, await node.personal.members(), "admin")]
        for group in await node.groups():
            members = await group.members()
            roles = [each.role for each in members if each.user == node.user.id]
            # The name comes with the first sync, and a moment after one was let in.
            name = group.name if group.name != group.id else "A new family"
            found.append(Space(group.id, name, group, members, *roles))
        request.state.spaces = found
    return found


async def space_of(request: Request) -> Space:
    """The space in a request's path. Raises `peerstack.NotFound`."""
    wanted = request.path_params["space"]
    for space in await spaces_of(request):
        if space.id == wanted:
            return space
    raise peerstack.NotFound("you are not in this family, or not any more")


async def names_of(request: Request) -> dict[str, str]:
    """What to call the people of one's families, by user id."""
    members = [each for space in await spaces_of(request) for each in space.members]
    return {each.user: each.name for each in members}


async def render(
    request: Request, template: str, space: Space | None = None, /, status: int = 200, **shown: Any
) -> Response:
    """A whole page: what it shows, and what stands around it."""
    desk = desk_of(request)
    at = space.id if space is not None else template.split("/")[0]
    around: dict[str, Any] = {"space": space, "spaces": [], "at": at}
    if desk.has_begun:
        around["spaces"] = await spaces_of(request)
        around["connection"] = await current_connection(request)
        around["me"] = desk.node.user
        around["names"] = await names_of(request)
        around["live"] = _listening(request, desk, space)
    return part(request, template, status, **around | shown)


def _listening(request: Request, desk: Desk, space: Space | None) -> str:
    """Where a page learns what has changed since it was made."""
    query = {topic: str(desk.news.count(topic)) for topic in (STATUS, SPACES)}
    if space is not None:
        query |= {"group": space.group.id, "notes": str(desk.news.count(space.group.id))}
    return url(request, "live", query)


def part(request: Request, template: str, status: int = 200, /, **shown: Any) -> Response:
    """A piece of a page, or one that stands for itself."""

    def path(name: str, /, query: Mapping[str, str] | None = None, **at: Any) -> str:
        return url(request, name, query, **at)

    found = _environment.get_template(template)
    return HTMLResponse(found.render(url=path, request=request, **shown), status)


async def current_connection(request: Request) -> Connection:
    """How this device stands to the others, as it was told of last."""
    status = desk_of(request).news.status
    assert status is not None, "a desk that has begun knows how it stands"
    return connection(status, await names_of(request))


def is_live(request: Request) -> bool:
    """Whether a page asks for a piece of itself (by htmx), rather than for a whole page."""
    return "hx-request" in request.headers


def field(form: FormData, name: str, chars: int) -> str:
    """A field of a form, cut to a length, with the line ends that everybody else has."""
    value = form.get(name, "")
    return value.replace("\r\n", "\n").strip()[:chars] if isinstance(value, str) else ""


def secret(form: FormData, name: str) -> str:
    """A password in a form: as it was typed, up to a length that nobody types."""
    value = form.get(name, "")
    return value[:_SECRET_CHARS] if isinstance(value, str) else ""


def when(moment: datetime) -> str:
    """A moment as people say it."""
    now = datetime.now().astimezone()
    days = (now.date() - moment.date()).days
    if days == 0:
        return f"{moment:%H:%M}"
    if days == 1:
        return f"yesterday, {moment:%H:%M}"
    day = f"{moment.day} {moment:%B}"
    return day if moment.year == now.year else f"{day} {moment.year}"


_environment.filters |= {"markdown": text.html, "excerpt": text.excerpt, "when": when}
