"""Markdown is shown as HTML that runs nothing, and loads nothing from elsewhere."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from family_notes.text import excerpt, html

SCRIPTS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<style>body{display:none}</style>",
    '<a href="javascript:alert(1)">x</a>',
    '<iframe srcdoc="<script>alert(1)</script>">',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    "[x](file:///etc/passwd)",
    "[x](ftp://files.example)",
    "[x](steam://run/1)",
    "<tel:112>",
    "<javascript:alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    '[x]: javascript:alert(1) "t"\n\n[x]',
    '[x](https://a.example "onmouseover=alert(1)")',
    '[x](https://a.example" onmouseover="alert(1))',
    "```x onload=alert(1)\ncode\n```",
    "`<script>`",
]
ALLOWED = re.compile(
    r"</?(p|br|hr|h[1-6]|ul|ol|li|blockquote|pre|code|em|strong|s|table|thead|tbody|tr|th|td)>"
    r'|<ol start="\d+">|</a>'
    r'|<a( (href="(https?:|mailto:)[^"<>]*"|title="[^"<>]*"|target="_blank"'
    r'|rel="noopener noreferrer nofollow"))*>'
)


def leftover(shown: str) -> str:
    """What is left without the marks that are allowed: text, in which nothing is one."""
    return ALLOWED.sub("", shown)


@pytest.mark.parametrize("text", SCRIPTS)
def test_nothing_can_be_run_or_loaded_from_elsewhere(text: str) -> None:
    for shown in (html(text), excerpt(text)):
        assert "<" not in leftover(shown), shown


@given(st.text(alphabet="<>\"'()[]!#*`:/ \n&;=ajscriptonerxlhf", max_size=80))
def test_no_text_leads_to_other_marks(text: str) -> None:
    assert "<" not in leftover(html(text))
    assert "<" not in leftover(excerpt(text))


def test_what_people_write_is_shown_as_they_mean_it() -> None:
    shown = html(
        "# Cake\n\n**two** eggs, *no* milk\n\n- sugar\n- salt\n\n> hot!\n\nsee www.example.org"
    )

    assert "<h1>Cake</h1>" in shown
    assert "<strong>two</strong>" in shown
    assert "<em>no</em>" in shown
    assert shown.count("<li>") == 2
    assert "<blockquote>" in shown
    assert 'href="http://www.example.org"' in shown


def test_lines_stay_lines() -> None:
    assert html("Milk\nBread").count("<br>") == 1


def test_links_open_in_a_tab_that_learns_nothing_of_this_one() -> None:
    shown = html("[a](https://a.example) and mail to ana@example.org")

    assert shown.count('target="_blank"') == shown.count("noopener noreferrer") == 2
    assert 'href="mailto:ana@example.org"' in shown


def test_an_excerpt_is_short_and_has_no_links() -> None:
    shown = excerpt("[a](https://a.example) " + "long " * 1_000)

    assert "<a" not in shown
    assert len(shown) < 700
