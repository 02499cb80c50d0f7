"""The load cases at a small size: that they do what they say. Figures are for `make load`."""

from __future__ import annotations

import pytest

from tests.proving.load import CASES, SMALL


@pytest.mark.parametrize("name", CASES)
def test_a_load_case_holds_at_a_small_size(name: str) -> None:
    result = CASES[name](SMALL)
    assert all(value >= 0 for value in result.values())
