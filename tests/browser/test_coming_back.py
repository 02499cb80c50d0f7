"""What was apart, lost or erased, and how it comes back, in the browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.people import Browsing, family, invite, join, violations, write
from tests.server_process import server_process

pytestmark = pytest.mark.browser

PASSWORD = "plum rabbit lighthouse"


class Family:
    """Ana and Ben, each in front of their notes, who are in a family."""

    def __init__(self, browsing: Browsing) -> None:
        self._browsing = browsing
        self._at: dict[str, str] = {}

    async def come(self, name: str, *flags: str) -> Page:
        """Start somebody's app, again or for the first time."""
        self._at[name] = self._browsing.start(name, *flags)
        return await self._browsing.open(self._at[name])

    async def go(self, name: str, page: Page) -> None:
        """Close the window and end the app."""
        await page.close()
        self._browsing.end(self._at[name])


async def two_in_a_family(browsing: Browsing, server: str) -> tuple[Family, Page, Page]:
    people = Family(browsing)
    ana = await people.come("Ana", "--name", "Ana", "--server", server)
    ben = await people.come("Ben", "--name", "Ben")
    await family(ana, "The Millers")
    await join(ben, await invite(ana), "The Millers")
    await ana.get_by_role("link", name="The Millers", exact=True).click()
    return people, ana, ben


async def edit(page: Page, text: str) -> None:
    await page.get_by_role("link", name="Edit").click()
    await page.get_by_label("Text", exact=True).fill(text)
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#note")).to_contain_text(text)


async def restart(browsing: Browsing, device: str) -> Page:
    """The first page of an app on a device where nothing has begun."""
    page = await browsing.open(browsing.start(device))
    await expect(page.get_by_role("heading", name="Welcome to Family notes")).to_be_visible()
    return page


async def test_a_note_says_whom_it_has_reached(browsing: Browsing, server: str) -> None:
    _, ana, _ = await two_in_a_family(browsing, server)

    await write(ana, "Milk")

    await expect(ana.locator("#reach summary")).to_have_text("Only on this device as yet")
    await ana.locator("#reach summary").click()
    await expect(ana.locator("#reach summary")).to_have_text("On all 2 devices")
    await expect(ana.locator("#reach")).to_contain_text("✓ Ben")


async def test_what_two_wrote_unseen_is_shown_side_by_side_and_restored(
    browsing: Browsing, server: str
) -> None:
    people, ana, ben = await two_in_a_family(browsing, server)
    await write(ana, "Cake", "one egg")
    await ben.get_by_role("link", name="Cake").click()
    await expect(ben.locator("#note")).to_contain_text("one egg")
    await people.go("Ben", ben)
    await edit(ana, "two eggs")
    await people.go("Ana", ana)
    ben = await people.come("Ben")
    await ben.get_by_role("link", name="Cake").click()
    await edit(ben, "three eggs")

    ana = await people.come("Ana")
    await ana.get_by_role("link", name="Look at both versions").click()
    assert await violations(ana) == []
    await expect(ana.get_by_label("Version of Ben")).to_contain_text("three eggs")
    await expect(ana.get_by_label("Your version")).to_contain_text("two eggs")
    await ana.get_by_role("button", name="Restore yours").click()

    await expect(ana.locator("#cards")).not_to_contain_text("replaced")
    await expect(ana.locator("#cards")).to_contain_text("two eggs")
    await expect(ben.locator("#note")).to_contain_text("two eggs")


async def test_what_is_written_offline_arrives_once_all_are_back(browsing: Browsing) -> None:
    with server_process() as first:
        people, ana, ben = await two_in_a_family(browsing, first.url)
        await expect(ana.locator(".top")).to_contain_text("Up to date")
        await people.go("Ben", ben)
        first.stop()
    await expect(ana.locator(".top")).to_contain_text("Offline")
    await write(ana, "Milk")

    with server_process(port=first.port):
        ben = await people.come("Ben")
        await expect(ben.get_by_role("link", name="Milk")).to_be_visible()
        await expect(ana.locator(".top")).to_contain_text("Up to date")


async def test_the_recovery_words_are_written_down_and_bring_one_back(
    browsing: Browsing, tmp_path: Path
) -> None:
    page = await browsing.person("Ana")
    await page.get_by_role("link", name="This device", exact=True).click()
    await page.get_by_role("link", name="Recovery phrase and kit").click()
    async with page.expect_download() as saved:
        await page.get_by_role("button", name="Save the file").click()
    await (await saved.value).save_as(tmp_path / "kit")
    await page.get_by_text("Show the 24 words").click()
    words = await page.locator(".words li").all_inner_texts()
    await page.get_by_role("link", name="I have written them down").click()
    for field in await page.locator("input[name^=word-]").all():
        place = str(await field.get_attribute("name")).removeprefix("word-")
        await field.fill(words[int(place) - 1])
    await page.get_by_role("button", name="Check").click()
    await expect(page.get_by_role("heading", name="If you lose all")).to_be_visible()
    await expect(page.locator(".words")).to_have_count(0)

    new = await restart(browsing, "new")
    await new.get_by_role("link", name="Use the 24 words").click()
    assert await violations(new) == []
    await new.get_by_label("The 24 words").fill("\n".join(words))
    await new.get_by_label("The recovery file").set_input_files(tmp_path / "kit")
    await new.get_by_role("button", name="Come back").click()

    await expect(new.get_by_text("Show the 24 words")).to_be_visible()
    await new.get_by_role("link", name="This device", exact=True).click()
    await expect(new.get_by_text("ended")).to_be_visible()


async def test_a_backup_is_saved_and_brings_everything_back_after_erasing(
    browsing: Browsing, tmp_path: Path
) -> None:
    page = await browsing.person("Ana")
    await write(page, "Shopping", items="Milk\nBread")
    await page.get_by_role("link", name="This device", exact=True).click()
    await page.get_by_role("link", name="Make a backup").click()
    await page.get_by_label("A password for the file").fill(PASSWORD)
    await page.get_by_label("The same again").fill(PASSWORD)
    async with page.expect_download() as saved:
        await page.get_by_role("button", name="Save the backup").click()
    await (await saved.value).save_as(tmp_path / "backup")

    await page.get_by_role("link", name="Back", exact=True).click()
    await page.get_by_role("link", name="Erase this device").click()
    await page.get_by_label("To go on, write erase").fill("erase")
    await page.get_by_role("button", name="Erase everything").click()
    await expect(page.get_by_role("heading", name="Welcome to Family notes")).to_be_visible()
    assert [each.name for each in (tmp_path / "Ana" / "profile").iterdir()] == []

    await page.get_by_role("link", name="Restore a backup").click()
    assert await violations(page) == []
    await page.get_by_label("The backup").set_input_files(tmp_path / "backup")
    await page.get_by_label("Its password").fill("another one entirely")
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_role("alert").filter(has_text="password")).to_be_visible()
    browsing.complaints[:] = [each for each in browsing.complaints if "400" not in each]
    await page.get_by_label("The backup").set_input_files(tmp_path / "backup")
    await page.get_by_label("Its password").fill(PASSWORD)
    await page.get_by_role("button", name="Restore").click()

    await page.get_by_role("link", name="Shopping").click()
    await expect(page.get_by_role("checkbox", name="Bread")).to_be_visible()
