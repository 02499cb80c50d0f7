"""Markdown to HTML that can run nothing and loads nothing from elsewhere.

There are two walls: markdown-it takes no HTML and makes no images, and nh3 lets nothing through but
what is named here. The Content-Security-Policy of the pages is a third.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

SCHEMES: Final = frozenset({"http", "https", "mailto"})
"""What a link may begin with."""

_BLOCKS: Final = frozenset(
    {
        *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote"),
        *("pre", "code", "em", "strong", "s", "table", "thead", "tbody", "tr", "th", "td"),
    }
)
_NEW_TAB: Final = {"a": {"target": "_blank"}}
_EXCERPT_CHARS: Final = 500
_EXCERPTS: Final = 1_000
"""A page of cards is made anew with each change, of which most cards have no part."""

_markdown = MarkdownIt("js-default", {"html": False, "linkify": True, "breaks": True})
_markdown.disable("image")


def html(text: str) -> Markup:
    """A text as HTML. Links open in a tab of their own, which learns nothing of this one."""
    clean = nh3.clean(
        _markdown.render(text),
        tags=set(_BLOCKS | {"a"}),
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes=set(SCHEMES),
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values=_NEW_TAB,
    )
    return Markup(clean)  # noqa: S704 -- cleaned by nh3 right above


@lru_cache(_EXCERPTS)
def excerpt(text: str) -> Markup:
    """How a text begins, as HTML without links: it stands in something that is a link itself."""
    clean = nh3.clean(
        _markdown.render(text[:_EXCERPT_CHARS]), tags=set(_BLOCKS), attributes={}, link_rel=None
    )
    return Markup(clean)  # noqa: S704 -- cleaned by nh3 right above
