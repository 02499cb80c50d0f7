"""The command `family-notes` as a process of its own."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.demo_app.app_process import running

STOP_S = 10.0
BROWSER = """#!/bin/sh
echo "$@" > "$HOME/opened"
exec sleep 60
"""


def test_it_serves_until_it_is_told_to_stop_though_a_page_is_open(tmp_path: Path) -> None:
    with running(tmp_path, "--no-browser", "--name", "Ana") as (address, process):
        with httpx.Client(base_url=address.split("enter")[0]) as browser:
            assert browser.get(address).status_code == 200
            group = browser.get("", follow_redirects=True).text.split("group=")[1].split("&")[0]
            with browser.stream("GET", f"live?group={group}&status=0&spaces=0&notes=0") as events:
                lines = events.iter_lines()
                origin = address.split("/", 3)
                browser.post(
                    "s/private/notes", data={"title": "x"}, headers={"Origin": "/".join(origin[:3])}
                )
                assert "event: notes" in lines

                process.send_signal(signal.SIGTERM)
                for _ in lines:
                    pass
        assert process.wait(STOP_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_only_this_machine_can_reach_it(tmp_path: Path) -> None:
    with running(tmp_path, "--no-browser") as (address, process):
        port = int(address.split(":")[2].split("/")[0])
        table = Path(f"/proc/{process.pid}/net/tcp").read_text(encoding="ascii").splitlines()

        listening = [line.split()[1] for line in table[1:] if line.split()[3] == "0A"]

        assert [each for each in listening if each.endswith(f":{port:04X}")] == [
            f"0100007F:{port:04X}"
        ]
        with socket.socket(socket.AF_INET6) as other, pytest.raises(OSError, match="refused"):
            other.connect(("::1", port))


def test_the_browser_is_led_by_a_file_that_nobody_else_can_read(tmp_path: Path) -> None:
    (tmp_path / "browser").write_text(BROWSER, encoding="ascii")
    (tmp_path / "browser").chmod(0o700)
    with running(tmp_path) as (address, process):
        opened = tmp_path / "opened"
        while not (opened.exists() and opened.read_text()):
            assert process.poll() is None
        [file] = tmp_path.glob("family-notes-*.html")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert address in file.read_text(encoding="utf-8")
        assert opened.read_text().strip() == file.as_uri()
        with httpx.Client() as browser:
            assert browser.get(address).status_code == 200

        process.send_signal(signal.SIGINT)

        assert process.wait(STOP_S) == 0
        assert not file.exists()


def test_a_port_that_is_taken_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "family_notes", "--folder", tmp_path, "--port", port],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr.startswith("Error: cannot listen on 127.0.0.1:")
    assert "--port" in done.stderr
    assert done.stderr.count("\n") == 1
