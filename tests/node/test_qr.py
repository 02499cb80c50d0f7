"""QR codes: both drawings show the same modules, those of the library that knows the standard."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
import segno

import peerstack

TEXT = "peerstack:join:" + "aB-_" * 60
HALVES = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}

Modules = list[list[int]]


def expected(text: str) -> Modules:
    return [list(row) for row in segno.make_qr(text, error="l").matrix_iter(border=4)]


def in_text(drawing: str) -> Modules:
    rows: Modules = []
    for line in drawing.splitlines():
        rows += [[HALVES[char][half] for char in line] for half in (0, 1)]
    return rows


def in_svg(svg: str) -> Modules:
    root = ET.fromstring(svg)  # noqa: S314 -- made here
    size = int(root.attrib["viewBox"].split()[2])
    rows = [[0] * size for _ in range(size)]
    background, dark = root
    assert (background.attrib["fill"], dark.get("fill")) == ("#fff", None)
    for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", dark.attrib["d"]):
        rows[int(y)][int(x)] = 1
    return rows


@pytest.mark.parametrize("text", ["", "short", TEXT, "äöü 🙂"])
def test_both_drawings_show_the_code_of_the_text(text: str) -> None:
    code = peerstack.qr(text)

    # A last line without a lower half has one row of light beneath.
    assert in_text(str(code))[: code.width] == in_svg(code.svg()) == expected(text)


def test_a_light_border_of_four_modules_stands_around_it() -> None:
    rows = in_text(str(peerstack.qr(TEXT)))

    assert not any(map(any, rows[:4]))
    assert not any(any(row[:4]) or any(row[-4:]) for row in rows)


def test_a_terminal_gets_black_on_white_whatever_its_own_colors() -> None:
    code = peerstack.qr(TEXT)
    lines = code.terminal().splitlines()

    assert all(line.startswith("\x1b[38;5;16;48;5;231m") for line in lines)
    assert all(line.endswith("\x1b[0m") for line in lines)
    assert re.sub(r"\x1b\[[0-9;]*m", "", code.terminal()) == str(code)


def test_an_invite_link_fits_into_80_columns() -> None:
    assert peerstack.qr(TEXT).width <= 80


def test_a_text_that_is_too_long_or_no_text_is_refused() -> None:
    peerstack.qr("x" * 2953)

    with pytest.raises(peerstack.InvalidValue, match="2954"):
        peerstack.qr("x" * 2954)
    with pytest.raises(peerstack.InvalidValue):
        peerstack.qr("\ud800")


def test_its_repr_does_not_tell_the_link() -> None:
    assert "aB-_" not in repr(peerstack.qr(TEXT))
