"""The first start, the pages of this device, and its end."""

from __future__ import annotations

import re
from pathlib import Path

import peerstack
from family_notes.desk import Desk
from tests.demo_app.visitor import ana, visiting

PASSWORD = "plum rabbit lighthouse"


async def test_the_first_start_asks_for_a_name_and_then_one_writes(tmp_path: Path) -> None:
    async with Desk(tmp_path / "new", network=False) as desk, visiting(desk) as visitor:
        assert visitor.path == "welcome"
        await visitor.go("s/private/")
        assert visitor.path == "welcome"

        await visitor.send("begin", name=" ")
        assert visitor.status == 400
        await visitor.send("begin", name="Ana")

        assert visitor.path == "s/private/"
        assert desk.node.user.name == "Ana"
    async with Desk(tmp_path / "new", network=False) as desk, visiting(desk) as visitor:
        assert visitor.path == "s/private/"
        await visitor.go("welcome")
        assert visitor.path == "s/private/"


async def test_the_words_are_shown_and_gone_once_some_of_them_were_given(tmp_path: Path) -> None:
    async with ana(tmp_path) as visitor:
        await visitor.go("device/recovery")
        words = re.findall(r"<li>(\w+)</li>", visitor.page)
        assert len(words) == 24

        await visitor.go("device/recovery/check")
        asked = [int(each) for each in re.findall(r'name="word-(\d+)"', visitor.page)]
        assert len(asked) == 3
        wrong = {f"word-{place}": "abandon" for place in asked}
        await visitor.send("device/recovery/check", **wrong)
        assert visitor.status == 400
        assert [f"word-{place}" in visitor.page for place in asked] == [True] * 3

        right = {f"word-{place}": f" {words[place - 1].upper()} " for place in asked}
        await visitor.send("device/recovery/check", **right)
        assert visitor.path == "device/recovery"
        assert not any(f"<li>{word}</li>" in visitor.page for word in words)


async def test_the_recovery_file_is_saved_and_opened_by_the_words(tmp_path: Path) -> None:
    async with ana(tmp_path / "ana") as visitor:
        await visitor.go("device/recovery")
        words = re.findall(r"<li>(\w+)</li>", visitor.page)

        answer = await visitor.save("device/recovery/kit")

        kit = tmp_path / "kit"
        kit.write_bytes(answer.content)
        assert peerstack.read_kit(kit, words).name == "Ana"


async def test_a_backup_brings_everything_back_on_another_device(tmp_path: Path) -> None:
    async with ana(tmp_path / "old") as visitor:
        await visitor.send("s/private/notes", title="Shopping", items="Milk\nBread")
        await visitor.send("families/create", name="The Millers")
        await visitor.send("device/backup", password="short", again="short")
        assert visitor.status == 400
        await visitor.send("device/backup", password=PASSWORD, again=PASSWORD.upper())
        assert visitor.status == 400
        assert "differ" in visitor.text
        backup = await visitor.save("device/backup", password=PASSWORD, again=PASSWORD)
        assert b"Milk" not in backup.content
    async with Desk(tmp_path / "new", network=False) as desk, visiting(desk) as visitor:
        await visitor.hand_in("start/backup", backup.content, password="another password")
        assert visitor.status == 400
        assert "password" in visitor.text
        await visitor.hand_in("start/backup", backup.content[:-1], password=PASSWORD)
        assert visitor.status == 400
        assert not desk.has_begun

        await visitor.hand_in("start/backup", backup.content, password=PASSWORD)

        assert "The Millers" in visitor.text
        assert "Bread" in await visitor.go("s/private/")
        assert len(await desk.node.devices()) == 2
        await visitor.hand_in("start/backup", backup.content, password=PASSWORD)
        assert visitor.status == 400
        assert "erase it first" in visitor.text


async def test_words_and_file_bring_one_back_and_end_the_lost_devices(tmp_path: Path) -> None:
    async with ana(tmp_path / "lost") as visitor:
        await visitor.send("families/create", name="The Millers")
        await visitor.go("device/recovery")
        words = re.findall(r"<li>(\w+)</li>", visitor.page)
        kit = (await visitor.save("device/recovery/kit")).content
    async with Desk(tmp_path / "new", network=False) as desk, visiting(desk) as visitor:
        wrong = " ".join(reversed(words))
        await visitor.hand_in("start/recovery", kit, words=wrong, others="end")
        assert visitor.status == 400
        await visitor.hand_in("start/recovery", b"", words=" ".join(words), others="end")
        assert visitor.status == 400
        assert not desk.has_begun

        spoken = "\n".join(words).upper()
        await visitor.hand_in("start/recovery", kit, words=spoken, others="end")

        assert visitor.path == "device/recovery"
        assert len(set(re.findall(r"<li>(\w+)</li>", visitor.page)) - set(words)) > 12
        assert desk.node.user.name == "Ana"
        old, new = sorted(await desk.node.devices(), key=lambda device: device.this)
        assert (old.active, new.active) == (False, True)
        await visitor.go("start/recovery")
        assert visitor.path == "s/private/"


async def test_devices_that_are_not_lost_go_on_after_a_recovery(tmp_path: Path) -> None:
    async with ana(tmp_path / "kept") as visitor:
        await visitor.go("device/recovery")
        words = re.findall(r"<li>(\w+)</li>", visitor.page)
        kit = (await visitor.save("device/recovery/kit")).content
    async with Desk(tmp_path / "new", network=False) as desk, visiting(desk) as visitor:
        await visitor.hand_in("start/recovery", kit, words=" ".join(words), others="keep")

        assert [device.active for device in await desk.node.devices()] == [True, True]


async def test_a_server_is_added_and_what_is_none_is_refused(tmp_path: Path) -> None:
    async with ana(tmp_path) as visitor:
        await visitor.send("device/servers", server="meet.example.org")
        assert visitor.status == 400
        assert "no address of a signaling server" in visitor.text

        await visitor.send("device/servers", server="https://meet.example.org")
        assert "https://meet.example.org" in visitor.text


async def test_erasing_takes_the_word_and_leaves_nothing(tmp_path: Path) -> None:
    async with ana(tmp_path) as visitor:
        await visitor.send("s/private/notes", title="Secret")
        await visitor.send("device/erase", word="no")
        assert visitor.status == 400
        assert "Secret" in await visitor.go("s/private/")

        await visitor.send("device/erase", word="Erase")

        assert visitor.path == "welcome"
        assert list(tmp_path.iterdir()) == []
        await visitor.send("begin", name="Somebody else")
        assert "No notes yet" in visitor.text


async def test_without_a_server_one_is_told_what_to_do_before_linking(tmp_path: Path) -> None:
    async with ana(tmp_path) as visitor:
        await visitor.send("device/link/start")

        assert visitor.status == 400
        assert "network" in visitor.text
