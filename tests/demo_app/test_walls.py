"""Who may ask for a page at all: each wall by itself, around an app that answers everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from family_notes.web.walls import BODY_BYTES, COOKIE, POLICY, Door, Walls

DOOR = Door("127.0.0.1:4321")
OWN = {"Origin": DOOR.origin, "Sec-Fetch-Site": "same-origin"}


async def answer_all(request: Request) -> Response:
    return PlainTextResponse(f"inside {len(await request.body())}")


METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]
ANSWERING = Starlette(routes=[Route("/{path:path}", answer_all, methods=METHODS)])


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A browser that was let in."""
    transport = httpx.ASGITransport(Walls(ANSWERING, DOOR))
    async with httpx.AsyncClient(transport=transport, base_url=DOOR.origin) as browser:
        await browser.get(DOOR.address)
        yield browser


async def asked(client: httpx.AsyncClient, method: str = "GET", **sent: Any) -> httpx.Response:
    return await client.request(method, DOOR.path, **sent)


async def test_a_browser_that_was_let_in_gets_pages_and_may_post(client: httpx.AsyncClient) -> None:
    assert (await asked(client)).text == "inside 0"
    assert (await asked(client, "POST", headers=OWN, content=b"abc")).text == "inside 3"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost:4321"])
async def test_a_name_of_somebody_elses_that_leads_here_is_refused(
    client: httpx.AsyncClient, host: str
) -> None:
    """DNS rebinding: the browser takes us for the other page's own server."""
    assert (await asked(client, headers={"Host": host})).status_code == 421


async def test_two_hosts_are_refused(client: httpx.AsyncClient) -> None:
    headers = httpx.Headers([("Host", DOOR.host), ("Host", "evil.example")])

    assert (await asked(client, headers=headers)).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://localhost:4321"},
        {"Origin": "https://127.0.0.1:4321"},
        {},
        {"Sec-Fetch-Site": "same-origin"},
        OWN | {"Sec-Fetch-Site": "same-site"},
        OWN | {"Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("method", METHODS[1:])
async def test_nothing_is_changed_for_a_page_that_is_not_ours(
    client: httpx.AsyncClient, method: str, headers: dict[str, str]
) -> None:
    assert (await asked(client, method, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_nothing_is_shown_within_another_page(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await asked(client, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "cookie",
    ["", f"{COOKIE}=guess", f"{COOKIE}=", f"other={DOOR.session}", "\xff", ";;="],
    # Of their own: what is drawn anew in each process cannot be in a test's name.
    ids=["none", "guess", "empty", "other name", "no text", "nonsense"],
)
async def test_without_the_cookie_nothing_is_shown(client: httpx.AsyncClient, cookie: str) -> None:
    client.cookies.clear()

    answer = await asked(client, headers={"Cookie": cookie.encode("latin-1")})

    assert answer.status_code == 403
    assert "inside" not in answer.text


async def test_a_cookie_of_the_same_name_from_elsewhere_does_not_lock_out(
    client: httpx.AsyncClient,
) -> None:
    client.cookies.clear()
    cookies = f"{COOKIE}={DOOR.session}; {COOKIE}=planted"

    assert (await asked(client, headers={"Cookie": cookies})).status_code == 200


@pytest.mark.parametrize(
    "key",
    ["", "key=", "key=wrong", f"key={DOOR.key}x", f"k={DOOR.key}"],
    ids=["none", "empty", "wrong", "longer", "other name"],
)
async def test_a_wrong_key_lets_nobody_in(client: httpx.AsyncClient, key: str) -> None:
    client.cookies.clear()

    answer = await client.get(f"{DOOR.path}enter?{key}")

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_the_key_is_exchanged_for_a_cookie_that_only_our_pages_are_sent(
    client: httpx.AsyncClient,
) -> None:
    client.cookies.clear()

    answer = await client.get(DOOR.address, headers={"Sec-Fetch-Site": "cross-site"})

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}={DOOR.session}; ")
    assert {"HttpOnly", "SameSite=strict", f"Path={DOOR.path}"} <= set(cookie.split("; "))
    assert DOOR.key not in answer.text
    assert DOOR.session not in answer.text


async def test_the_key_is_taken_by_no_post(client: httpx.AsyncClient) -> None:
    client.cookies.clear()

    assert (await client.post(DOOR.address, headers=OWN)).status_code == 403


async def test_a_body_that_says_that_it_is_too_long_is_refused(client: httpx.AsyncClient) -> None:
    answer = await asked(client, "POST", headers=OWN, content=bytes(BODY_BYTES + 1))

    assert answer.status_code == 413


async def test_a_body_that_does_not_say_how_long_it_is_ends_at_the_limit(
    client: httpx.AsyncClient,
) -> None:
    sent = 0

    async def long() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 8 * BODY_BYTES:
            sent += 64 * 1024
            yield bytes(64 * 1024)

    answer = await asked(client, "POST", headers=OWN, content=long())

    assert answer.status_code == 413
    assert sent <= BODY_BYTES + 2 * 64 * 1024


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "9" * 30, "\u0661"])
async def test_a_length_that_is_none_is_refused(client: httpx.AsyncClient, length: str) -> None:
    headers = {**OWN, "Content-Length": length.encode()}

    answer = await asked(client, "POST", headers=headers, content=b"abc")

    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path",
    [DOOR.address, DOOR.path, "/", "/favicon.ico"],
    ids=["door", "inside", "root", "icon"],
)
async def test_every_answer_says_what_a_page_may_do(client: httpx.AsyncClient, path: str) -> None:
    for headers in ({}, {"Host": "evil.example"}, {"Cookie": "none"}):
        answer = await client.get(path, headers=headers)

        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert "default-src 'none'" in POLICY
    assert "unsafe" not in POLICY
    assert "data:" not in POLICY
    assert not {"*", "http:", "https:"} & set(POLICY.replace(";", " ").split())


def test_a_door_shows_none_of_its_secrets() -> None:
    assert not any(secret in repr(DOOR) for secret in (DOOR.place, DOOR.key, DOOR.session))


def test_no_two_doors_are_alike() -> None:
    other = Door(DOOR.host)

    assert len({DOOR.place, DOOR.key, DOOR.session, other.place, other.key, other.session}) == 6
