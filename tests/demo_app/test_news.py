"""Pages that are open are told of what happens, and of what came before they listened."""

from __future__ import annotations

from pathlib import Path

from family_notes.desk import Desk
from family_notes.news import SPACES, STATUS, News


async def test_what_came_before_one_listens_is_told_and_then_what_comes() -> None:
    news = News()
    news.tell("group")
    news.tell("other")
    listening = news.listen({"group": 0, STATUS: 0})

    assert await anext(listening) == ("group", 1)
    news.tell(STATUS)
    news.tell("group")

    assert {await anext(listening), await anext(listening)} == {(STATUS, 1), ("group", 2)}


async def test_whoever_listens_is_let_go_at_the_end() -> None:
    news = News()
    news.close()

    assert [told async for told in news.listen({"group": 0})] == []


async def test_a_desk_tells_of_notes_and_of_new_families(tmp_path: Path) -> None:
    async with Desk(tmp_path, network=False) as desk:
        await desk.begin("Ana")
        private = desk.node.personal
        listening = desk.news.listen({private.id: 0})
        await private.put("note", {"title": "Milk"})
        assert (await anext(listening))[0] == private.id

        families = desk.news.listen({SPACES: desk.news.count(SPACES)})
        await desk.node.create_group("Family")
        assert (await anext(families))[0] == SPACES
