"""axe finds nothing wrong with any page, on a desk and on a phone, in the light and in the dark."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.people import Browsing, family, invite, violations, write

pytestmark = pytest.mark.browser

PAGES = [
    *(
        "families",
        "device",
        "device/backup",
        "device/link",
        "device/recovery",
        "device/recovery/check",
    ),
    *("transfer", "device/erase", "s/private/", "s/private/new", "s/private/?show=archive"),
    *("s/private/search", "s/private/search?words=eggs"),
    *("s/private/?show=bin", "nothing", "families/joining/x?name=The+Millers"),
]


async def check(page: Page, found: dict[str, list[str]], name: str) -> None:
    wrong = await violations(page)
    wide = await page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
    if wrong or wide:
        found[name] = [*wrong, *(["the page is wider than the window"] if wide else [])]


@pytest.mark.parametrize(("phone", "scheme"), [(False, "light"), (True, "dark")])
async def test_every_page_can_be_used_by_everybody(
    browsing: Browsing, phone: bool, scheme: Literal["light", "dark"]
) -> None:
    found: dict[str, list[str]] = {}
    page = await browsing.open(browsing.start("Ana"), phone=phone, scheme=scheme)
    await check(page, found, "welcome")
    start = page.url.removesuffix("welcome")
    for path in ("start/backup", "start/recovery", "link", "welcome"):
        await page.goto(start + path)
        await check(page, found, path)
    await page.get_by_role("button", name="Start writing").click()
    await expect(page.locator("#cards")).to_be_visible()

    await write(page, "Cake", "# For four\n\n**two** eggs, see https://example.org", "Milk\nBread")
    await page.get_by_role("checkbox", name="Milk").click()
    await expect(page.get_by_role("checkbox", name="Milk")).to_be_checked()
    note = page.url.removeprefix(start)
    await page.get_by_role("button", name="Pin").click()
    await family(page, "The Millers")
    people = page.url.removeprefix(start)
    await check(page, found, "people")
    link = await invite(page)
    await check(page, found, "invite")
    await page.goto(f"{start}families")
    await page.get_by_role("textbox", name="The link").fill(link)
    await page.get_by_role("button", name="Look at it").click()
    await expect(page.get_by_role("button", name="Accept")).to_be_visible()
    await check(page, found, "offer")

    leave = people.replace("people", "leave")
    for path in [*PAGES, note, f"{note}/edit", f"{note}/history", people, leave]:
        await page.goto(start + path)
        await check(page, found, path)

    browsing.complaints[:] = [each for each in browsing.complaints if "404" not in each]
    assert found == {}
