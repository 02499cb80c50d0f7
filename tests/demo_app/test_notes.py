"""What a person does with notes and lists, by the pages of a real profile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from family_notes.model import BODY_CHARS, TITLE_CHARS
from family_notes.notebook import PAGE_NOTES
from family_notes.web.walls import BODY_BYTES
from tests.demo_app.visitor import Visitor, ana


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    async with ana(tmp_path) as entered:
        yield entered


async def write(visitor: Visitor, title: str, body: str = "", **more: str) -> str:
    """Write a note; the path of its page."""
    await visitor.send("s/private/notes", title=title, body=body, **more)
    assert visitor.status == 200
    return visitor.path


def ticks(visitor: Visitor) -> list[str]:
    return [part.split('"')[0] for part in visitor.page.split('aria-checked="')[1:]]


# --- Notes. ---------------------------------------------------------------------------------------


async def test_one_begins_at_an_empty_page_and_can_write_at_once(visitor: Visitor) -> None:
    assert visitor.path == "s/private/"
    assert "No notes yet" in visitor.text

    await write(visitor, "Milk", "two **litres**")

    assert "<strong>litres</strong>" in visitor.page
    assert "Milk" in await visitor.go("")


async def test_what_is_empty_is_not_kept(visitor: Visitor) -> None:
    await write(visitor, "  ", " \r\n ")

    assert visitor.path == "s/private/"
    assert "No notes yet" in visitor.text


async def test_a_note_is_edited_over_the_version_that_was_shown(visitor: Visitor) -> None:
    note = await write(visitor, "Milk", "one")
    await visitor.go(f"{note}/edit")
    seen = visitor.field("seen")

    await visitor.send(f"{note}/save", title="Milk", body="two", labels="shop, , shop", seen=seen)

    assert visitor.path == note
    assert "two" in visitor.text
    assert visitor.page.count(">shop<") == 1
    await visitor.go(f"{note}/history")
    assert visitor.text.count("Ana, ") == 2


async def test_who_saves_over_a_change_that_they_had_not_seen_sees_both_first(
    visitor: Visitor,
) -> None:
    note = await write(visitor, "Milk", "one")
    await visitor.go(f"{note}/edit")
    seen = visitor.field("seen")
    await visitor.send(f"{note}/save", title="Milk", body="theirs", labels="", seen=seen)

    await visitor.send(f"{note}/save", title="Milk", body="mine", labels="", seen=seen)

    assert "changed this note while you were writing" in visitor.text
    assert "<pre>theirs</pre>" in visitor.page
    assert ">mine</textarea>" in visitor.page
    both = [seen, visitor.field("seen")]
    await visitor.send(f"{note}/save", title="Milk", body="mine", labels="", seen=both)
    assert visitor.path == note
    assert "mine" in visitor.text


async def test_an_open_editor_is_told_of_a_newer_version(visitor: Visitor) -> None:
    note = await write(visitor, "Milk", "one")
    await visitor.go(f"{note}/edit")
    seen = visitor.field("seen")
    assert await visitor.go(f"{note}/newer?seen={seen}") == ""

    await visitor.send(f"{note}/save", title="Milk", body="two", labels="", seen=seen)

    assert "changed this note just now" in await visitor.go(f"{note}/newer?seen={seen}")


async def test_a_deleted_note_lies_in_the_bin_until_it_is_deleted_for_good(
    visitor: Visitor,
) -> None:
    note = await write(visitor, "Bakery", items="a\nb")
    await visitor.send(f"{note}/move", to="bin")
    assert "“Bakery” is in the bin. Undo" in visitor.text
    assert "Bakery" not in await visitor.go("s/private/")

    await visitor.send(f"{note}/move", to="desk")
    assert visitor.path == note
    assert ticks(visitor) == ["false", "false"]

    await visitor.send(f"{note}/move", to="bin")
    await visitor.send(f"{note}/delete")
    assert "The bin is empty" in visitor.text
    await visitor.go(note)
    assert visitor.status == 404
    assert "not here any more" in visitor.text


async def test_what_is_archived_stands_apart(visitor: Visitor) -> None:
    note = await write(visitor, "Old tax")
    await visitor.send(f"{note}/pin", pinned="yes")

    await visitor.send(f"{note}/move", to="archive")

    assert "Old tax" not in await visitor.go("s/private/")
    assert "Old tax" in await visitor.go("s/private/?show=archive")


async def test_what_is_pinned_stands_first(visitor: Visitor) -> None:
    note = await write(visitor, "First")
    await write(visitor, "Second")
    await visitor.send(f"{note}/pin", pinned="yes")

    await visitor.go("s/private/")

    assert visitor.text.index("First") < visitor.text.index("Others") < visitor.text.index("Second")
    await visitor.send(f"{note}/pin", pinned="no")
    assert "Pinned" not in await visitor.go("s/private/")


async def test_a_label_shows_its_notes_alone(visitor: Visitor) -> None:
    await write(visitor, "Bakery", labels="shop")
    await write(visitor, "Cinema", labels="fun & games")

    await visitor.go("s/private/?label=fun+%26+games")

    assert "Cinema" in visitor.page
    assert "Bakery" not in visitor.page
    assert "?label=fun+%26+games" in await visitor.go("s/private/")


async def test_words_are_found_in_notes_and_in_their_lists(visitor: Visitor) -> None:
    await write(visitor, "Cake", "with **cinnamon**", labels="kitchen")
    await write(visitor, "Shopping", items="Milk\nCinnamon sticks")
    await write(visitor, "Tax", "nothing sweet")
    gone = await write(visitor, "Old cinnamon")
    await visitor.send(f"{gone}/move", to="bin")

    await visitor.go("s/private/search?words=CINNAM")

    assert visitor.page.count("<article") == 2
    assert "Cake" in visitor.text
    assert "Cinnamon sticks" in visitor.text
    assert "Nothing has these words" in (await visitor.go("s/private/search?words=cake+tax"))
    assert 'value="&lt;b&gt;&#34;"' in (await visitor.go("s/private/search?words=<b>%22"))


async def test_an_older_version_can_be_restored(visitor: Visitor) -> None:
    note = await write(visitor, "Milk", "one")
    await visitor.go(f"{note}/edit")
    await visitor.send(
        f"{note}/save", title="Milk", body="two", labels="", seen=visitor.field("seen")
    )
    await visitor.go(f"{note}/history")

    await visitor.send(f"{note}/restore", version=visitor.field("version"))

    assert visitor.path == note
    assert "<p>one</p>" in visitor.page


async def test_further_notes_stand_on_further_pages(visitor: Visitor) -> None:
    for number in range(PAGE_NOTES + 2):
        await visitor.send("s/private/notes", title=f"Note {number:03}")
    await visitor.go("s/private/")
    assert visitor.page.count("<article") == PAGE_NOTES
    assert "Note 001" not in visitor.page

    more = visitor.page.split('more-notes"><a class="button" href="')[1].split('"')[0]
    await visitor.go(more.removeprefix(visitor.door.path).replace("&amp;", "&"))

    assert visitor.page.count("<article") == 2
    assert "Note 001" in visitor.page


async def test_what_is_too_long_is_cut_where_the_field_says_so(visitor: Visitor) -> None:
    note = await write(visitor, "t" * (TITLE_CHARS + 1), "b" * BODY_CHARS)

    assert "t" * TITLE_CHARS in visitor.page
    assert "t" * (TITLE_CHARS + 1) not in visitor.page
    assert 'maxlength="200"' in await visitor.go(f"{note}/edit")


async def test_a_note_that_no_record_has_room_for_is_refused_with_a_reason(
    visitor: Visitor,
) -> None:
    await visitor.send("s/private/notes", title="Smile", body="\N{GRINNING FACE}" * BODY_CHARS)

    assert visitor.status == 400
    assert "cannot be stored" in visitor.text


async def test_a_form_that_is_too_large_is_refused(visitor: Visitor) -> None:
    await visitor.send("s/private/notes", title="x", body="x" * (BODY_BYTES + 1))

    assert visitor.status == 413


async def test_titles_labels_and_items_are_text_and_never_marks(visitor: Visitor) -> None:
    bad = "<script>alert(1)</script>"
    note = await write(visitor, bad, bad, items=bad, labels=bad)

    for path in (note, f"{note}/edit", f"{note}/history", "s/private/", f"{note}/part"):
        await visitor.go(path)
        assert visitor.status == 200
        assert "<script>alert" not in visitor.page
        assert "&lt;script&gt;" in visitor.page


@pytest.mark.parametrize("place", ["s/nowhere/", "s/private/n/nothing", "nothing"])
async def test_a_page_that_is_not_there_says_so(visitor: Visitor, place: str) -> None:
    await visitor.go(place)

    assert visitor.status in (400, 404)
    assert "That did not work" in visitor.page


async def test_a_preview_is_as_harmless_as_a_note(visitor: Visitor) -> None:
    shown = await visitor.send("preview", body="**hi** <script>alert(1)</script>")

    assert "<strong>hi</strong>" in shown
    assert "<script>" not in shown


# --- Lists. ---------------------------------------------------------------------------------------


async def test_items_are_ticked_and_the_tick_taken_away(visitor: Visitor) -> None:
    note = await write(visitor, "Shopping", items="Milk\r\n\r\nBread")
    item = visitor.page.split("/i/")[1].split("/tick")[0]

    await visitor.send(f"{note}/i/{item}/tick", done="yes")
    assert visitor.path == note
    assert ticks(visitor) == ["true", "false"]

    await visitor.send(f"{note}/i/{item}/tick", done="no")
    assert ticks(visitor) == ["false", "false"]


async def test_a_page_that_is_open_is_told_to_show_what_was_done(visitor: Visitor) -> None:
    note = await write(visitor, "Shopping", items="Milk")

    shown = await visitor.send_live(f"{note}/items", text="Bread")

    assert (visitor.status, shown, visitor.told) == (204, "", "changed")
    assert "Bread" in await visitor.go(f"{note}/part")


async def test_where_a_note_is_gone_an_open_page_is_gone_too(visitor: Visitor) -> None:
    note = await write(visitor, "Shopping")
    await visitor.send(f"{note}/delete")

    shown = await visitor.go_live(f"{note}/part")

    assert "This note is not here any more" in shown
    assert visitor.retargeted == "#main"


async def test_two_people_tick_two_items_at_once_and_no_tick_is_lost(visitor: Visitor) -> None:
    note = await write(visitor, "Shopping", items="\n".join(f"Item {n}" for n in range(10)))
    items = {part.split("/tick")[0] for part in visitor.page.split("/i/")[1:] if "/tick" in part}

    async def tick(item: str) -> None:
        await visitor.send(f"{note}/i/{item}/tick", done="yes")

    await asyncio.gather(*map(tick, items))

    await visitor.go(note)
    assert ticks(visitor) == ["true"] * 10


async def order(visitor: Visitor, note: str) -> list[str]:
    await visitor.go(note)
    return [part.split("</span>")[0] for part in visitor.page.split('hidden="true"></span><span>')][
        1:
    ]


async def test_items_are_moved_reworded_and_removed(visitor: Visitor) -> None:
    note = await write(visitor, "Shopping", items="a\nb\nc\nd")
    ids = dict(
        zip("abcd", [p.split('"')[0] for p in visitor.page.split('id="tick-')[1:]], strict=True)
    )

    for item, do in [("d", "up"), ("d", "up"), ("a", "down"), ("a", "up"), ("a", "up")]:
        await visitor.send(f"{note}/i/{ids[item]}", do=do)
    assert await order(visitor, note) == ["a", "d", "b", "c"]

    await visitor.send(f"{note}/i/{ids['d']}", do="save", text="D")
    await visitor.send(f"{note}/i/{ids['b']}", do="remove", text="b")
    assert await order(visitor, note) == ["a", "D", "c"]
    await visitor.send(f"{note}/i/{ids['c']}", do="down")
    assert await order(visitor, note) == ["a", "D", "c"]


# --- Pages that are open. -------------------------------------------------------------------------


async def test_parts_of_pages_are_there_for_pages_that_are_open(visitor: Visitor) -> None:
    note = await write(visitor, "Milk", items="a")

    for path, first in [
        ("s/private/cards", "<article"),
        (f"{note}/part", "<article"),
        ("connection", "<a"),
        ("spaces?at=private", "<a"),
        ("device/connection", "<h2"),
        ("s/private/people/part", "<ul"),
    ]:
        await visitor.go(path)
        assert visitor.status == 200
        assert "<html" not in visitor.page
        assert first in visitor.page
