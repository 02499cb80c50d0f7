"""What `peerstack doctor` says behind a cone and behind a symmetric NAT, as a line of JSON each.

A program for a network namespace of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.nat.lab import DEAD, SERVERS, Home, Router, lab
from tests.nat.pairing import SECRET
from tests.server_process import server_process
from tests.services import running_coturn


def main() -> None:
    """Ask in both homes at once."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = stack.enter_context(lab())
        made.connect(Router.CONE, Router.SYMMETRIC)
        first, second = (
            stack.enter_context(running_coturn(_made(folder / name), SERVERS, SECRET)).address
            for name in ("first", "second")
        )
        stun = [f"stun:{place}" for place in (first, second, DEAD)]
        named = [word for url in stun for word in ("--stun-url", url)]
        turn = ("--turn-url", f"turn:{first}", "--turn-secret", SECRET)
        server = stack.enter_context(server_process("--host", SERVERS, *named, *turn)).url
        with ThreadPoolExecutor() as pool:
            for said in pool.map(lambda home: _doctor(home, folder, server), made.homes):
                print(said, end="")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _doctor(home: Home, folder: Path, server: str) -> str:
    profile = ("--profile", str(folder / f"{home.number}.db"))
    enter = (*home.device.enter, sys.executable, "-m", "peerstack")
    subprocess.run([*enter, "init", "--quiet", *profile], stdout=subprocess.DEVNULL, check=True)
    asked = [*enter, "doctor", "--json", "--server", server, *profile]
    return subprocess.run(asked, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    main()
