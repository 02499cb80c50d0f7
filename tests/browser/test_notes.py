"""One person and their notes, in a browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Dialog, expect

from tests.browser.people import Browsing, write

pytestmark = pytest.mark.browser


async def test_at_the_first_start_one_writes_with_the_keyboard_alone(browsing: Browsing) -> None:
    page = await browsing.open(browsing.start("new"))
    name = page.get_by_label("What should others call you?")
    await expect(name).to_be_focused()

    await name.fill("Ana")
    await page.keyboard.press("Enter")
    await page.get_by_label("Title").focus()
    await page.keyboard.type("Milk")
    await page.keyboard.press("Tab")
    await page.keyboard.type("two **litres**")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="Milk")).to_be_visible()
    await expect(page.locator("strong")).to_have_text("litres")


async def test_a_preview_follows_what_is_written(browsing: Browsing) -> None:
    page = await browsing.person("Ana")
    await write(page, "Cake", "one egg")
    await page.get_by_role("link", name="Edit").click()

    await page.get_by_label("Text", exact=True).fill("**two** eggs")

    await expect(page.locator("#preview strong")).to_have_text("two")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#note strong")).to_have_text("two")


async def test_items_are_ticked_and_added_in_place(browsing: Browsing) -> None:
    page = await browsing.person("Ana")
    await write(page, "Shopping", items="Milk\nBread")
    before = page.url

    await page.get_by_role("checkbox", name="Bread").press("Space")
    await expect(page.get_by_role("checkbox", name="Bread")).to_be_checked()
    await expect(page.get_by_role("checkbox", name="Bread")).to_be_focused()
    await page.get_by_label("Add to the list").fill("Apples")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("checkbox")).to_have_count(3)
    await expect(page.get_by_label("Add to the list")).to_have_value("")
    await expect(page.get_by_role("checkbox", name="Milk")).not_to_be_checked()
    assert page.url == before


async def test_two_windows_show_the_same_without_reload(browsing: Browsing) -> None:
    address = browsing.start("Ana", "--name", "Ana")
    one, other = await browsing.open(address), await browsing.open(address, phone=True)

    await write(one, "Milk")

    await expect(other.get_by_role("link", name="Milk")).to_be_visible()
    await other.get_by_role("link", name="Milk").click()
    await one.get_by_label("Add to the list").fill("Bread")
    await one.keyboard.press("Enter")
    await expect(other.get_by_role("checkbox", name="Bread")).to_be_visible()


async def test_without_scripts_one_can_do_the_same(browsing: Browsing) -> None:
    page = await browsing.person("Ana", java_script_enabled=False)
    await page.get_by_label("Title").fill("Shopping")
    await page.get_by_text("Make it a list").click()
    await page.get_by_label("Items of the list").fill("Milk\nBread")
    await page.get_by_role("button", name="Keep").click()

    await page.get_by_role("checkbox", name="Milk").click()
    await expect(page.get_by_role("checkbox", name="Milk")).to_be_checked()
    await page.get_by_role("link", name="Edit").click()
    await page.get_by_label("Title").fill("Market")
    await page.get_by_role("button", name="Save").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Undo").click()

    await expect(page.get_by_role("heading", name="Market")).to_be_visible()


async def test_what_was_written_is_not_left_by_accident(browsing: Browsing) -> None:
    page = await browsing.person("Ana")
    await write(page, "Cake")
    await page.get_by_role("link", name="Edit").click()
    await page.get_by_label("Title").press_sequentially("!")
    asked = []

    async def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        await dialog.dismiss()

    page.on("dialog", stay)

    await page.get_by_role("link", name="Back without saving").click(no_wait_after=True)
    await expect(page.get_by_label("Title")).to_have_value("!Cake")

    assert asked == ["beforeunload"]
