"""The load cases at a small size, within their bounds. Memory and other figures: `make load`."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.proving import load
from tests.proving.load import CASES, SMALL, Case, OverError, demand


@pytest.mark.parametrize("name", CASES)
def test_a_load_case_is_within_its_bounds_at_a_small_size(name: str) -> None:
    CASES[name].within_bounds(SMALL)


def test_what_is_over_its_bound_is_said() -> None:
    figures = {"kept": 0.0, "waiting": 49.0, "sent": 17.0}
    demand(figures, {"kept": 0, "sent": 17})
    with pytest.raises(OverError, match=r"^waiting 49\.0, over 48\.0; sent 17\.0, over 16\.0 \("):
        demand(figures, {"kept": 0, "waiting": 48, "sent": 16})


def test_a_case_that_goes_over_a_bound_fails() -> None:
    case = Case(lambda _: {"kept": 1}, {"kept": 0}, most_mb=10)
    with pytest.raises(OverError, match=r"kept 1\.0, over 0\.0"):
        case.within_bounds(SMALL)


def test_a_bound_is_of_something_that_is_measured() -> None:
    with pytest.raises(KeyError):
        demand({"kept": 0}, {"keept": 0})


@pytest.mark.parametrize(("small", "over"), [(False, True), (True, False)])
def test_memory_over_its_bound_ends_a_full_run_with_an_error(
    small: bool, over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_measured_apart", lambda name, small: {"MB": 10_000})
    ran = CliRunner().invoke(load.main, ["a flood", "much held", *["--small"] * small])
    assert ran.exit_code == over
    # The second is run all the same.
    assert ("a flood: MB 10,000.0, over 10.0" in ran.output) == over
    assert ("much held: MB 10,000.0, over 150.0" in ran.output) == over
