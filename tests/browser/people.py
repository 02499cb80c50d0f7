"""People in front of their browsers, each with the app as a process of its own."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request, ViewportSize, expect

from tests.browser_there import AXE
from tests.demo_app.app_process import running

DESK: ViewportSize = {"width": 1200, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 780}
WAIT_MS = 30_000
STOP_S = 20

expect.set_options(timeout=WAIT_MS)


class Browsing:
    """One browser, in which several people have a window each."""

    def __init__(self, browser: Browser, folder: Path, processes: ExitStack) -> None:
        self.complaints: list[str] = []
        """What pages complained of: errors of scripts, of the policy, and what failed to load."""
        self._browser = browser
        self._folder = folder
        self._processes = processes
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self, device: str, *flags: str) -> str:
        """Start the app on a device; its address."""
        folder = self._folder / device
        folder.mkdir(exist_ok=True)
        running_app = running(folder, "--no-browser", *flags)
        address, self._running[address] = self._processes.enter_context(running_app)
        return address

    async def open(
        self,
        address: str,
        *,
        phone: bool = False,
        scheme: Literal["light", "dark"] = "light",
        **options: Any,
    ) -> Page:
        """A window of its own at an address."""
        context = await self._browser.new_context(
            viewport=PHONE if phone else DESK,
            color_scheme=scheme,
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(WAIT_MS)
        page = await context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._on_request)
        await page.goto(address)
        await page.wait_for_url(lambda url: "enter" not in url)
        return page

    def end(self, address: str) -> None:
        """End an app that was started, as when the computer is shut."""
        running = self._running.pop(address)
        running.terminate()
        running.wait(STOP_S)

    async def person(self, name: str, *flags: str, **options: Any) -> Page:
        """Somebody who has begun, in front of their notes."""
        page = await self.open(self.start(name, "--name", name, *flags), **options)
        await expect(page.locator("#cards")).to_be_visible()
        return page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _on_request(self, request: Request) -> None:
        if urlsplit(request.url).hostname != "127.0.0.1":
            self.complaints.append(f"asked elsewhere: {request.url}")


async def write(page: Page, title: str, body: str = "", items: str = "") -> None:
    """Write a note at the top of a list of notes; ends on the note's page."""
    await page.locator(".compose").evaluate("each => { each.open = true }")
    await page.get_by_label("Title").fill(title)
    await page.get_by_label("Text", exact=True).fill(body)
    if items:
        await page.get_by_text("Make it a list").click()
        await page.get_by_label("Items of the list").fill(items)
    await page.get_by_role("button", name="Keep").click()
    await expect(page.get_by_role("heading", name=title)).to_be_visible()
    # Before that, its scripts may not run yet, and forms are sent as without them: by a new page.
    await page.wait_for_load_state("load")


async def family(page: Page, name: str) -> None:
    """Start a family; ends on the page of its people."""
    await page.get_by_role("link", name="New family or join").click()
    await page.get_by_label("What is it called?").fill(name)
    await page.get_by_role("button", name="Start it").click()
    await expect(page.get_by_role("heading", name=f"People of {name}")).to_be_visible()


async def invite(page: Page) -> str:
    """A link, from the page of a family's people."""
    await page.get_by_role("button", name="Make a link").click()
    return await page.get_by_role("textbox", name="The link").input_value()


async def join(page: Page, link: str, name: str) -> None:
    """Follow a link; ends on the family's notes."""
    await page.get_by_role("link", name="New family or join").click()
    await page.get_by_role("textbox", name="The link").fill(link)
    await page.get_by_role("button", name="Look at it").click()
    await page.get_by_role("button", name="Accept").click()
    await expect(page.get_by_role("heading", name=name, level=1, exact=True)).to_be_visible()


async def violations(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 AA, and its own best practices, on a page."""
    await page.wait_for_load_state()  # before its style is there, no page can be read
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.evaluate("axe.run()")
    return [
        f"{each['id']}: {each['help']} ({node['html'][:120]})"
        for each in found["violations"]
        for node in each["nodes"]
    ]
