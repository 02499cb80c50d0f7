"""The pages of families: making one, joining one, and who is in it."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Literal

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import peerstack
from family_notes.connection import in_words
from family_notes.web.page import Space, desk_of, field, go, names_of, part, render, space_of

Role = Literal["reader", "writer", "admin"]

ROLES: Final[dict[Role, str]] = {
    "reader": "can read",
    "writer": "can read and write",
    "admin": "can write, invite and remove people",
}
"""What a role permits, in words."""

DAYS: Final = {"1": "1 day", "7": "1 week", "30": "30 days"}
_NAME_CHARS: Final = 60
_LINK_CHARS: Final = 8_192
_JOIN_S: Final = 0.5
"""What is quick is waited for; otherwise the page says that it goes on."""


async def show_families(request: Request) -> Response:
    """Where a family is made, or joined by a link."""
    return await render(request, "families/start.html", **_starting(request))


async def create_family(request: Request) -> Response:
    """Found a family, and show how to invite the others."""
    name = field(await request.form(), "name", _NAME_CHARS)
    group = await desk_of(request).node.create_group(name)
    return go(request, "people", space=group.id)


async def preview_invite(request: Request) -> Response:
    """What a link offers, before anything is done."""
    link = field(await request.form(), "link", _LINK_CHARS)
    try:
        offer = desk_of(request).node.preview(link)
    except peerstack.InvalidLink as error:
        shown = _starting(request) | {"problem": str(error), "link": link}
        return await render(request, "families/start.html", None, 400, **shown)
    shown = {"offer": offer, "link": link, "may": ROLES[offer.role]}
    return await render(request, "families/offer.html", **shown)


async def join_family(request: Request) -> Response:
    """Accept an invite. Where nobody is online to let one in, it goes on by itself."""
    link = field(await request.form(), "link", _LINK_CHARS)
    node = desk_of(request).node
    offer = node.preview(link)
    with suppress(peerstack.JoinPending):
        await node.join(link, timeout=_JOIN_S)
    return go(request, "joining", {"name": offer.group_name}, group=offer.group)


async def show_joining(request: Request) -> Response:
    """That an invite waits for somebody to let one in; moves on once that has happened."""
    if await _is_in(request):
        return go(request, "notes", space=request.path_params["group"])
    return await render(request, "families/joining.html", **_joining(request))


async def show_joining_part(request: Request) -> Response:
    """The same for a page that is open."""
    if await _is_in(request):
        return Response(headers={"HX-Refresh": "true"})
    return part(request, "families/waiting.html", **_joining(request))


def _joining(request: Request) -> dict[str, Any]:
    status = desk_of(request).news.status
    problems = [in_words(each) for each in status.problems] if status is not None else []
    return {
        "name": request.query_params.get("name", "the family"),
        "group": request.path_params["group"],
        "problems": problems,
    }


async def _is_in(request: Request) -> bool:
    """Whether one was let in, and knows what the family is called."""
    groups = await desk_of(request).node.groups()
    return request.path_params["group"] in [each.id for each in groups if each.name != each.id]


async def show_people(request: Request) -> Response:
    """Who is in a family, and how others come into it."""
    space = await space_of(request)
    return await render(request, "families/people.html", space, **await _people(request, space))


async def show_people_part(request: Request) -> Response:
    """The people alone: for a page that is open."""
    space = await space_of(request)
    return part(
        request,
        "families/members.html",
        space=space,
        me=desk_of(request).node.user,
        names=await names_of(request),
        **await _people(request, space),
    )


async def invite(request: Request) -> Response:
    """A new link, as text and as a code for a camera."""
    space = await space_of(request)
    form = await request.form()
    role, days = _role(form), str(form.get("days"))
    if days not in DAYS:
        raise peerstack.InvalidValue("choose how long the link lasts")
    one = 1 if form.get("uses") == "one" else None
    link = await space.group.invite(role, expires=timedelta(days=int(days)), uses=one)
    shown: dict[str, Any] = {
        "link": link,
        "qr": peerstack.qr(link),
        "may": ROLES[role],
        "lasts": DAYS[days],
        "once": one is not None,
    }
    return await render(request, "families/invite.html", space, **shown)


async def end_invite(request: Request) -> Response:
    """End a link: nobody comes by it any more."""
    space = await space_of(request)
    await space.group.end_invite(field(await request.form(), "invite", 64))
    return go(request, "people", space=space.id)


async def change_role(request: Request) -> Response:
    """Give a member another role."""
    space = await space_of(request)
    role = _role(await request.form())
    await space.group.set_role(request.path_params["user"], role)
    return go(request, "people", space=space.id)


async def ask_to_remove(request: Request) -> Response:
    """Say what a removal means, before it is done."""
    space = await space_of(request)
    member = _member(space, request.path_params["user"])
    return await render(request, "families/remove.html", space, member=member)


async def remove(request: Request) -> Response:
    """Remove a member."""
    space = await space_of(request)
    await space.group.remove(request.path_params["user"])
    return go(request, "people", space=space.id)


async def ask_to_leave(request: Request) -> Response:
    """Say what leaving means, before it is done."""
    return await render(request, "families/leave.html", await space_of(request))


async def leave(request: Request) -> Response:
    """Leave a family."""
    space = await space_of(request)
    await space.group.leave()
    return go(request, "home")


async def _people(request: Request, space: Space) -> dict[str, Any]:
    invites = [] if space.is_private else await space.group.invites()
    return {
        "roles": ROLES,
        "days": DAYS,
        "invites": [each for each in invites if each.ended is None],
        "has_server": bool(desk_of(request).node.server_urls),
    }


def _starting(request: Request) -> dict[str, Any]:
    servers = desk_of(request).node.server_urls
    return {"has_server": bool(servers), "problem": None, "link": ""}


def _role(form: FormData) -> Role:
    for role in ROLES:
        if role == form.get("role"):
            return role
    raise peerstack.InvalidValue("choose what this person may do")


def _member(space: Space, user: str) -> peerstack.Member:
    for member in space.members:
        if member.user == user:
            return member
    raise peerstack.NotFound("this person is not in the family any more")


routes = [
    Route("/families", show_families, name="families"),
    Route("/families/create", create_family, methods=["POST"], name="create-family"),
    Route("/families/offer", preview_invite, methods=["POST"], name="offer"),
    Route("/families/join", join_family, methods=["POST"], name="join"),
    Route("/families/joining/{group}", show_joining, name="joining"),
    Route("/families/joining/{group}/part", show_joining_part, name="joining-part"),
    Route("/s/{space}/people", show_people, name="people"),
    Route("/s/{space}/people/part", show_people_part, name="people-part"),
    Route("/s/{space}/invite", invite, methods=["POST"], name="invite"),
    Route("/s/{space}/invite/end", end_invite, methods=["POST"], name="end-invite"),
    Route("/s/{space}/people/{user}/role", change_role, methods=["POST"], name="role"),
    Route("/s/{space}/people/{user}/remove", ask_to_remove, name="ask-to-remove"),
    Route("/s/{space}/people/{user}/remove", remove, methods=["POST"], name="remove"),
    Route("/s/{space}/leave", ask_to_leave, name="ask-to-leave"),
    Route("/s/{space}/leave", leave, methods=["POST"], name="leave"),
]
