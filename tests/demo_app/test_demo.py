"""`make demo`: two people with a family's notes, and nothing is left of it after Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.server_process import ROOT

END_S = 30


def start(folder: Path) -> subprocess.Popen[str]:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"}
    own = {name: text for name, text in os.environ.items() if name not in hidden}
    paths = os.pathsep.join(str(ROOT / each) for each in ("", "server", "demo_app"))
    return subprocess.Popen(
        [sys.executable, "-m", "family_notes.demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**own, "PYTHONPATH": paths, "TMPDIR": str(folder), "HOME": str(folder)},
    )


def said(demo: subprocess.Popen[str], words: str) -> str:
    """What stands behind some words, in the line that begins with them."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith(words):
            return line.removeprefix(words).strip()
    raise AssertionError(demo.stderr.read() if demo.stderr is not None else "")


def started_by(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(each) for children in tasks for each in children.read_text().split()]


def test_two_people_have_a_familys_notes_until_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        try:
            addresses = [said(demo, f"{person}'s notes: ") for person in ("Ana", "Ben")]
            said(demo, "Ctrl-C ends it")
            programs = started_by(demo.pid)
            assert len(programs) == 3
            see_a_note_of_one_come_to_the_other(*addresses)
            assert len(list(tmp_path.glob("family-notes-*"))) == 1

            demo.send_signal(signal.SIGINT)
            assert demo.wait(END_S) == 0
        finally:
            demo.kill()

    assert not any(Path(f"/proc/{each}").exists() for each in programs)
    assert list(tmp_path.iterdir()) == []


def see_a_note_of_one_come_to_the_other(*addresses: str) -> None:
    ana, ben = (httpx.Client(base_url=each.split("enter")[0]) for each in addresses)
    with ana, ben:
        for window, address in zip((ana, ben), addresses, strict=True):
            window.get(address)
            notes = window.get("", follow_redirects=True)
            assert "Pancakes" in notes.text
        family = "s/" + notes.url.path.split("/s/")[1]
        origin = {"Origin": "/".join(addresses[0].split("/")[:3])}
        sent = ana.post(f"{family}notes", data={"title": "Come home early"}, headers=origin)
        assert sent.status_code == 303
        while "Come home early" not in ben.get(family).text:
            time.sleep(0.05)


def test_it_ends_as_cleanly_when_told_to_in_the_middle_of_its_preparations(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        said(demo, "Ana founds")
        programs = started_by(demo.pid)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(END_S) == 0

    assert len(programs) == 1
    assert not any(Path(f"/proc/{each}").exists() for each in programs)
    assert list(tmp_path.iterdir()) == []
