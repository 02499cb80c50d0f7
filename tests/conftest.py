"""What holds for every test."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.own_network import own_network

# A property is about what holds, never about how long it took on a busy machine.
settings.register_profile("no-deadline", settings(deadline=None))
settings.load_profile("no-deadline")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = [item for item in items if item.get_closest_marker("own_network")]
    if chosen and not own_network():
        config.hook.pytest_deselected(items=chosen)
        items[:] = [item for item in items if item not in chosen]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not own_network():
        terminalreporter.write_line(
            "NOT RUN: tests marked `own_network`, since this system permits no network namespace "
            "(`unshare --net`); what is said without a network goes unchecked",
            yellow=True,
        )
