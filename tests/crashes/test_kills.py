"""Two devices that write and sync are killed at random moments: a short run of `make crashes`."""

from __future__ import annotations

from pathlib import Path

from tests.crashes.rounds import Rounds


def test_two_devices_killed_at_random_lose_nothing_acknowledged_and_become_level(
    tmp_path: Path,
) -> None:
    rounds = Rounds(tmp_path, seed="ten")

    done = list(rounds.run(10))

    assert [each.checked for each in done] == [False] * 9 + [True]
    # Both had written, so that there was something to lose.
    assert all(device.acknowledged for device in rounds.devices)
