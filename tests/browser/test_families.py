"""Two people, and two devices of one, each in a window of their own."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.browser.people import Browsing, family, invite, join, violations, write

pytestmark = pytest.mark.browser


async def test_a_family_is_started_joined_by_link_and_edited_by_both(
    browsing: Browsing, server: str
) -> None:
    ana = await browsing.person("Ana", "--server", server)
    ben = await browsing.person("Ben", phone=True)
    await family(ana, "The Millers")
    await join(ben, await invite(ana), "The Millers")

    await ana.get_by_role("link", name="The Millers", exact=True).click()
    await write(ana, "Shopping", items="Milk\nBread")
    await ben.get_by_role("link", name="Shopping").click()
    await ben.get_by_role("checkbox", name="Milk").click()
    await ana.get_by_role("checkbox", name="Bread").click()

    for page in (ana, ben):
        for item in ("Milk", "Bread"):
            await expect(page.get_by_role("checkbox", name=item)).to_be_checked()
        await expect(page.locator(".top")).to_contain_text("Up to date")


async def test_roles_and_removal_show_at_once(browsing: Browsing, server: str) -> None:
    ana = await browsing.person("Ana", "--server", server)
    ben = await browsing.person("Ben")
    await family(ana, "The Millers")
    await join(ben, await invite(ana), "The Millers")
    await ana.get_by_role("link", name="People of The Millers").click()
    await ben.get_by_role("link", name="People (2)").click()
    await expect(ana.get_by_text("online · can read and write")).to_be_visible()

    await ana.get_by_label("What Ben may do").select_option("reader")
    await ana.get_by_role("button", name="Change").click()
    await expect(ben.locator(".people")).to_contain_text("Ben you online · can read")

    await ana.get_by_role("link", name="Remove…").click()
    assert await violations(ana) == []
    await ana.get_by_role("button", name="Remove Ben").click()
    await expect(ben.locator(".spaces")).not_to_contain_text("The Millers")


async def test_a_second_device_is_linked_by_digits_that_both_show(
    browsing: Browsing, server: str
) -> None:
    old = await browsing.person("Ana", "--server", server)
    await write(old, "Private thing")
    new = await browsing.open(browsing.start("new"))
    await old.get_by_role("link", name="This device").click()
    await old.get_by_role("link", name="Link another device").click()
    await old.get_by_role("button", name="Show the link").click()
    async with old.expect_response(lambda answer: "link/part" in answer.url) as asked:
        # The page says what it shows, so that it is not drawn anew each second.
        assert (await asked.value).status == 204
    await new.get_by_role("link", name="Link this one to it").click()
    link = await old.get_by_role("textbox", name="The link").input_value()
    await new.get_by_role("textbox", name="The link").fill(link)
    await new.get_by_role("button", name="Go on").click()

    digits = await new.locator(".digits").inner_text()
    await expect(old.locator(".digits")).to_have_text(digits)
    assert await violations(old) + await violations(new) == []
    await old.get_by_role("button", name="They are the same").click()

    await expect(old.get_by_text("Linked.")).to_be_visible()
    await expect(new.get_by_role("link", name="Private thing")).to_be_visible()
