"""The `peerstack` command as tests call it: in this process where that is honest, else for real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from peerstack.cli.app import cli
from tests.server_process import ROOT

LIMIT_S = 60.0

Json = dict[str, Any]


class Running:
    """A command that goes on, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def until(self, wanted: Callable[[Json], bool]) -> Json:
        """The next JSON object that it prints which is wanted. Ends with the test's time limit."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found: Json = json.loads(line)
            if wanted(found):
                return found
        raise AssertionError(f"it ended first: {self.complaints()}")

    def until_event(self, kind: str, **fields: Any) -> Json:
        return self.until(lambda found: found["event"] == kind and fields.items() <= found.items())

    def type(self, line: str) -> None:
        """Answer a question."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(LIMIT_S)

    def rest(self) -> list[Json]:
        """All that it printed since, once it has ended."""
        assert self.process.stdout is not None
        return [json.loads(line) for line in self.process.stdout]

    def complaints(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()


@dataclass(frozen=True)
class Person:
    """Somebody with a profile of their own."""

    profile: Path

    def call(self, *words: str, input: str | None = None, **environment: str) -> Result:
        """Run a command in this process."""
        env = {"PEERSTACK_PROFILE": str(self.profile), **environment}
        return CliRunner(env=env).invoke(cli, list(words), input=input)

    def json(self, *words: str, input: str | None = None) -> list[Json]:
        """Run a command in this process with --json; it has to succeed."""
        done = self.call(*words, "--json", input=input)
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own."""
        with self._start(*words, **environment) as process:
            out, err = process.communicate(timeout=LIMIT_S)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def told(self, *words: str) -> list[Json]:
        """Run a command with --json in a process of its own; it has to succeed."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def confirm(self, *words: str, wrong: int = 0, **environment: str) -> list[Json]:
        """Run `recovery --json` and give the words that it asks back, wrong ones first."""
        with self._start("recovery", *words, "--json", **environment) as process:
            assert process.stdout is not None
            asked: Json = json.loads(process.stdout.readline())
            right = [asked["phrase"][place - 1] for place in asked["asked"]]
            answers = ["abandon"] * len(right) * wrong + right
            out, err = process.communicate("\n".join([*answers, ""]), timeout=LIMIT_S)
        assert process.returncode == 0, err
        return [asked, *(json.loads(line) for line in out.splitlines())]

    @contextmanager
    def running(self, *words: str, **environment: str) -> Iterator[Running]:
        """A command with --json in a process of its own, killed at the end if it still runs."""
        with self._start(*words, "--json", **environment) as process:
            try:
                yield Running(process)
            finally:
                process.kill()

    def _start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("PEERSTACK_")}
        path = os.pathsep.join(str(ROOT / folder) for folder in ("", "server"))
        return subprocess.Popen(
            [sys.executable, "-m", "peerstack", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **ours,
                "PYTHONPATH": path,
                "PEERSTACK_PROFILE": str(self.profile),
                **environment,
            },
        )


def befriend(ana: Person, ben: Person, server: str) -> None:
    """Ana founds Family, and Ben joins it."""
    ana.json("init", "--name", "Ana", "--server", server)
    ana.json("group", "create", "Family")
    (invited,) = ana.json("invite")
    with ana.running("sync", "--stay") as sync:
        sync.until_event("online")
        ben.json("init", "--name", "Ben")
        ben.json("join", invited["link"], "--yes")
        sync.end()


def hashes(person: Person) -> set[str]:
    """The hashes of a person's live records."""
    return {record["hash"] for record in person.json("export")}
