"""`make screenshots`: the pictures in docs/screenshots, taken of the demo's family in Chromium."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Literal, NamedTuple

from playwright.async_api import Page, async_playwright

from family_notes.demo.story import FAMILY, share
from tests.browser.people import Browsing
from tests.browser_there import chromium
from tests.server_process import ROOT, running_server

FOLDER: Final = ROOT / "docs" / "screenshots"


class Look(NamedTuple):
    """How a page is shown."""

    name: str
    phone: bool
    scheme: Literal["light", "dark"]


LOOKS: Final = [
    Look(f"{'phone' if phone else 'desk'}-{scheme}", phone, scheme)
    for phone in (False, True)
    for scheme in ("light", "dark")
]


async def main() -> None:
    """Take all of them anew."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as processes:
        folder = Path(name)
        server = processes.enter_context(running_server())
        for person in ("Ana", "Ben"):
            (folder / person).mkdir()
        await share(folder, server)
        for person in ("Ana", "Ben"):
            (folder / person).rename(folder / "profile")
            (folder / person).mkdir()
            (folder / "profile").rename(folder / person / "profile")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium())
            browsing = Browsing(browser, folder, processes)
            address = browsing.start("Ana")
            browsing.start("Ben")
            for look in LOOKS:
                page = await browsing.open(address, phone=look.phone, scheme=look.scheme)
                await take(page, look)
                await page.context.close()
            await browser.close()


async def take(page: Page, look: Look) -> None:
    """The pages of one look, from the family's notes on."""
    await page.get_by_role("link", name=FAMILY, exact=True).click()
    await page.locator(".state.level").wait_for()
    await keep(page, "notes", look)
    await page.get_by_role("link", name="Packing list").click()
    await page.locator("#reach .light.level").wait_for()
    await keep(page, "note", look)
    await page.go_back()
    await page.get_by_role("link", name="Pancakes").click()
    await page.get_by_role("link", name="Edit").click()
    await keep(page, "editor", look)
    await page.goto(page.url.split("/n/")[0] + "/people")
    await page.get_by_text("online · can read and write").wait_for()
    await keep(page, "people", look)
    await page.get_by_role("link", name="This device", exact=True).click()
    await keep(page, "device", look)


async def keep(page: Page, name: str, look: Look) -> None:
    """A picture of what the window shows."""
    await page.screenshot(path=FOLDER / f"{name}-{look.name}.png", animations="disabled")


if __name__ == "__main__":
    asyncio.run(main())
