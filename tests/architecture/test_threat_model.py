"""What is said about attackers is shown by tests that are there, or is said to be unshown."""

from __future__ import annotations

import pytest

from tests.architecture.claims import Claim, claims, misled, missing, sections
from tests.architecture.project import ROOT

PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
SHORT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

ATTACKERS = [
    "A stranger",
    "Whoever reads a link",
    "The operator of a signaling server",
    "The network",
    "A member who was removed, or left",
    "A reader",
    "A writer",
    "An admin",
    "The thief of a device",
    "A bad app in the same process",
]

FOUND = sections(sections(PAGE, 2)["Attackers"], 3)
CLAIMS = [claim for name, text in FOUND.items() for claim in claims(name, text)]

CODE = "async def test_that():\n    def test_inside(): ...\n\ndef helper(): ...\n"


def source(path: str) -> str | None:
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.is_file() else None


def test_every_test_that_is_named_is_there() -> None:
    assert {"threat model": missing(PAGE, source), "security": missing(SHORT, source)} == {
        "threat model": [],
        "security": [],
    }
    assert misled(PAGE) == misled(SHORT) == []


def test_each_attacker_has_a_section_and_no_other() -> None:
    assert list(FOUND) == ATTACKERS


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_an_attacker_has_something_can_do_something_and_cannot_do_other_things(
    attacker: str,
) -> None:
    kinds = [claim.kind for claim in CLAIMS if claim.section == attacker]

    assert "*Has*:" in FOUND[attacker]
    assert sum(kind.startswith("Can") and not kind.startswith("Cannot") for kind in kinds) >= 2
    assert kinds.count("Cannot") >= 2


def test_a_claim_names_its_tests_or_says_that_none_shows_it() -> None:
    assert [claim for claim in CLAIMS if not claim.tests and not claim.admits] == []


def test_what_nobody_can_do_is_always_shown() -> None:
    """An admission may stand without a test; a promise may not."""
    promises = [claim for claim in CLAIMS if "annot" in claim.kind]

    assert [claim for claim in promises if not claim.tests or claim.admits] == []


def test_no_point_of_a_list_is_left_unread() -> None:
    points = sum(line.startswith("- ") for text in FOUND.values() for line in text.splitlines())

    assert points == len(CLAIMS)


# --- The checks themselves. -----------------------------------------------------------------------


def some_code(path: str) -> str | None:
    return CODE if path == "tests/a/test_b.py" else None


@pytest.mark.parametrize(
    "name",
    [
        "tests/a/test_b.py::test_this",
        "tests/a/test_b.py::test_tha",
        "tests/a/test_b.py::test_inside",
        "tests/a/test_b.py::helper",
        "tests/a/test_c.py::test_that",
        "tests/a/test_c.py",
    ],
)
def test_a_name_of_no_test_is_seen(name: str) -> None:
    assert missing(f"- A claim.\n  [`{name}`](../tests/a/test_b.py)", some_code) == [name]


def test_the_name_of_a_test_is_found() -> None:
    assert missing("`tests/a/test_b.py::test_that`, and all of tests/a/test_b.py.", some_code) == []


def test_a_name_of_the_page_that_is_changed_is_seen() -> None:
    renamed = PAGE.replace("test_a_stranger_learns_of_no_group", "test_a_stranger_learns_nothing")

    assert missing(renamed, source) == [
        "tests/simulation/test_strangers.py::test_a_stranger_learns_nothing"
    ]


def test_a_link_that_leads_to_another_file_is_seen() -> None:
    link = "[`tests/a/test_b.py::test_that`](../tests/a/test_c.py)"

    assert misled(link) == ["tests/a/test_b.py"]
    assert misled(link.replace("test_c", "test_b")) == []


def test_claims_are_read_with_what_stands_above_their_list() -> None:
    text = (
        "*Has*: a key.\n\nCan:\n\n- Read\n  all.\n  `tests/x.py::test_x`\n\nCannot:\n\n- Write.\n"
    )

    read, write = claims("A thief", text)

    assert (read.kind, write.kind) == ("Can", "Cannot")
    assert read.tests == [("tests/x.py", "test_x")]
    assert write == Claim("A thief", "Cannot", "Write.")
    assert not write.tests
    assert not write.admits


@pytest.mark.parametrize(
    ("text", "admits"),
    [
        ("Read. *Shown by no test.*", True),
        ("Read. *The chance is shown by no\n  test.*", True),
        ("Read. Shown by no test.", False),
        ("*Read.*", False),
    ],
)
def test_an_admission_is_read(text: str, admits: bool) -> None:
    assert Claim("", "Can", text).admits is admits
