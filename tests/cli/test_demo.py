"""The demo comes to its good end by itself, and leaves nothing behind however it ends."""

from __future__ import annotations
import __future__

import inspect
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peerstack.cli.demo import NOTES
from peerstack.cli.demo.notes import Note, write_notes
from tests.own_network import own_network
from tests.server_process import ROOT

LIMIT_S = 110


def start(
    folder: Path, *words: str, before: Path = ROOT, within: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    path = os.pathsep.join(map(str, (before, ROOT, ROOT / "server")))
    return subprocess.Popen(
        [*within, sys.executable, "-m", "peerstack", "demo", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)},
    )


def programs_in(folder: Path) -> list[str]:
    """The command lines of all processes that name `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words:
            found.append(words)
    return found


def test_the_demo_shows_a_first_sync_a_conflict_and_both_level(tmp_path: Path) -> None:
    with start(tmp_path) as demo:
        out, err = demo.communicate(timeout=LIMIT_S)

    assert demo.returncode == 0, err
    assert f"{NOTES:,} notes signed and stored" in out
    assert "a conflict shows" in out
    assert f"{NOTES + 2:,} records, with the same hashes on both devices" in out
    assert "Ana's notes" in err, "there are progress bars"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.own_network
def test_with_loopback_alone_it_says_once_why_devices_meet_there(tmp_path: Path) -> None:
    with start(tmp_path, "--notes", "20", within=own_network()) as demo:
        out, err = demo.communicate(timeout=LIMIT_S)

    assert demo.returncode == 0, err
    assert out.count("no network interface but loopback, so devices on it meet") == 1
    assert "at 127.0.0.1" in out


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc to find processes in")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_the_middle_it_cleans_up(number: signal.Signals, tmp_path: Path) -> None:
    with start(tmp_path, "--notes", "20") as demo:
        assert demo.stdout is not None
        while not demo.stdout.readline().startswith(" 5 "):
            assert demo.poll() is None
        assert any("sync" in words for words in programs_in(tmp_path))
        demo.send_signal(number)
        _, err = demo.communicate(timeout=LIMIT_S)

    assert demo.returncode == 128 + number
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
    assert programs_in(tmp_path) == []


def test_a_failure_is_told_and_cleaned_up(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "peerstack_server.py").write_text("raise SystemExit('no server today')")
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    with start(temporary, before=broken) as demo:
        _, err = demo.communicate(timeout=LIMIT_S)

    assert demo.returncode == 1
    assert "no server today" in err
    assert "Traceback" not in err
    assert list(temporary.iterdir()) == []


def test_the_notes_are_docstrings_of_the_standard_library(tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"

    notes = write_notes(file, 200)

    written = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [note._asdict() for note in notes] == written
    assert len(written) == 200
    assert notes[0] == Note("__future__", inspect.getdoc(__future__) or "", "__future__")
