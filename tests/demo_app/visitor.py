"""A browser as far as these tests need one: cookies, forms, and the headers that it sends."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from family_notes.desk import Desk
from family_notes.web.app import make_app
from family_notes.web.walls import Door

HOST = "127.0.0.1:4321"


class Visitor:
    """One browser with one page open, the last one that was asked for."""

    def __init__(self, client: httpx.AsyncClient, door: Door) -> None:
        self.client = client
        self.door = door
        self.at = door.path
        self.page = ""
        self.status = 0
        self.told: str | None = None
        """What htmx on the page is to say has happened."""
        self.retargeted: str | None = None
        """Where htmx is to put what came, instead of where it was asked for."""

    async def enter(self) -> None:
        """Open the address that the app printed."""
        await self._ask("GET", self.door.address)
        await self.go("")

    async def go(self, path: str) -> str:
        """Open a page, by its path below the first one."""
        return await self._ask("GET", self.door.path + path)

    async def send(self, path: str, /, **fields: Any) -> str:
        """Send a form of ours; the page that comes of it."""
        headers = {"Origin": self.door.origin}
        return await self._ask("POST", self.door.path + path, data=fields, headers=headers)

    async def go_live(self, path: str) -> str:
        """Ask for a part of a page, as htmx does."""
        return await self._ask("GET", self.door.path + path, headers={"HX-Request": "true"})

    async def send_live(self, path: str, /, **fields: Any) -> str:
        """Send a form as htmx does; the part of a page that comes of it."""
        headers = {"Origin": self.door.origin, "HX-Request": "true"}
        return await self._ask("POST", self.door.path + path, data=fields, headers=headers)

    async def bring(self, space: str, files: Mapping[str, bytes]) -> str:
        """Send files to be imported."""
        return await self._ask(
            "POST",
            f"{self.door.path}transfer/import",
            data={"space": space},
            files=[("files", (name, content)) for name, content in files.items()],
            headers={"Origin": self.door.origin},
        )

    async def hand_in(self, path: str, file: bytes, /, **fields: str) -> str:
        """Send a form with a file."""
        return await self._ask(
            "POST",
            self.door.path + path,
            data=fields,
            files={"file": ("file", file)},
            headers={"Origin": self.door.origin},
        )

    async def save(self, path: str, /, **fields: str) -> httpx.Response:
        """Send a form that a file is to come of."""
        answer = await self.client.post(
            self.door.path + path, data=fields, headers={"Origin": self.door.origin}
        )
        assert "attachment" in answer.headers["content-disposition"]
        return answer

    @property
    def path(self) -> str:
        """Where one is, below the first page."""
        return self.at.removeprefix(self.door.path)

    @property
    def text(self) -> str:
        """What stands on the page, without marks."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.page)).split())

    def field(self, name: str) -> str:
        """The value of a hidden field, the last of that name."""
        values: list[str] = re.findall(rf'name="{name}" value="([^"]*)"', self.page)
        return html.unescape(values[-1])

    async def _ask(self, method: str, url: str, **sent: Any) -> str:
        answer = await self.client.request(method, url, follow_redirects=True, **sent)
        self.page, self.status = answer.text, answer.status_code
        self.told = answer.headers.get("hx-trigger")
        self.retargeted = answer.headers.get("hx-retarget")
        self.at = answer.url.path
        return self.page


@asynccontextmanager
async def visiting(desk: Desk) -> AsyncIterator[Visitor]:
    """A browser that was let in to a desk's pages."""
    door = Door(HOST)
    transport = httpx.ASGITransport(make_app(desk, door))
    async with httpx.AsyncClient(transport=transport, base_url=door.origin) as client:
        visitor = Visitor(client, door)
        await visitor.enter()
        yield visitor


@asynccontextmanager
async def ana(folder: Path) -> AsyncIterator[Visitor]:
    """A browser at the desk of Ana, who has begun, and has no network."""
    async with Desk(folder, network=False) as desk:
        await desk.begin("Ana")
        async with visiting(desk) as visitor:
            yield visitor
