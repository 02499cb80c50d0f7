"""What holds for every test."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.browser_there import browser
from tests.own_disk import own_disk
from tests.own_network import own_network
from tests.services import PROGRAMS, missing

# A property is about what holds, never about how long it took on a busy machine. Each run draws the
# same examples, so that it fails by what was changed; `--hypothesis-profile=explore` draws others.
settings.register_profile("explore", settings(deadline=None, derandomize=False))
settings.register_profile("same", settings(deadline=None, derandomize=True, database=None))
settings.load_profile("same")
# Where Python is told to keep no compiled modules, each of the hundreds of processes that tests
# start would compile all of peerstack anew: a third of what a short command costs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A shell has what it starts in the background ignore SIGINT, and so do the processes that this
# starts in turn: tests could not end them by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

NEEDS: dict[str, tuple[Callable[[], object], str]] = {
    "own_network": (
        own_network,
        "this system permits no network namespace (`unshare --net`); what is said without a "
        "network goes unchecked",
    ),
    "own_disk": (
        own_disk,
        "this system permits no mount of a tmpfs (it takes root); what happens on a disk that is "
        "full or read-only goes unchecked",
    ),
    "browser": (
        browser,
        "there is no Chromium, or no axe-core: `make test-browser` installs both where it may; "
        "what a person sees goes unchecked",
    ),
}
"""What some tests need of the system, by their mark; and what it means where that is not there."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for mark, (is_there, _) in NEEDS.items():
        chosen = [item for item in items if item.get_closest_marker(mark)]
        if chosen and not is_there():
            config.hook.pytest_deselected(items=chosen)
            items[:] = [item for item in items if item not in chosen]
    chosen = [item for item in items if _missing(item)]
    if chosen:
        config.hook.pytest_deselected(items=chosen)
        items[:] = [item for item in items if item not in chosen]


def _missing(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("services") for name in missing(*mark.args)]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of tests are there to stay: no collection of garbage is to go through them."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for mark, (is_there, meaning) in NEEDS.items():
        if not is_there():
            terminalreporter.write_line(
                f"NOT RUN: tests marked `{mark}`, since {meaning}", yellow=True
            )
    for program in missing(*PROGRAMS):
        terminalreporter.write_line(
            f"NOT RUN: tests marked `services` that need `{program}`, which is not installed: "
            "`.ci/ensure-services` installs it, or says how",
            yellow=True,
        )
