"""A known fault fails the build, and what was not audited never looks like what is good.

The real `pip-audit` asks a service on this machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.architecture.audit import Audit, Known, Pin, main

FAULT = {
    "id": "PYSEC-2026-1",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "It leaks.",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "leaky"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
        }
    ],
}


@contextmanager
def service(status: int, faulty: str = "") -> Iterator[str]:
    """The address of something that answers as OSV does."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = [FAULT] if asked["package"]["name"] == faulty else []
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"vulns": known}).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "some.lock"
    pins = [f"{name}==1.0 --hash=sha256:{'0' * 64}" for name in ("leaky", "tight")]
    path.write_text("\n".join(pins))
    return path


def outcome(lock: Path, address: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main([lock], "--vulnerability-service", "osv", "--osv-url", address)
    return code, capsys.readouterr().out


def test_a_known_fault_fails_and_is_named_with_what_mends_it(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service(200, faulty="leaky") as address:
        code, said = outcome(lock, address, capsys)

    assert code == 1
    assert "leaky 1.0 has a KNOWN FAULT, PYSEC-2026-1; it is mended in 2.0" in said
    assert "tight" not in said


def test_where_all_were_audited_and_none_has_a_fault_that_is_said(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service(200) as address:
        code, said = outcome(lock, address, capsys)

    assert (code, said) == (0, "audit: no fault is known in any of the 2 libraries of the locks\n")


@pytest.mark.parametrize("how", ["an error", "nobody"])
def test_where_nobody_answers_it_says_not_audited_and_why(
    how: str, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with service(503) as address:
        if how == "nobody":
            address = "http://127.0.0.1:1/v1/query"
        code, said = outcome(lock, address, capsys)

    assert code == 0
    assert "NOT AUDITED: all libraries" in said
    assert {"an error": "ServiceError", "nobody": "refused"}[how] in said
    assert "no fault is known" not in said


@pytest.mark.parametrize("text", ["leaky==1.0", "not a lock at all", "leaky>=1.0"])
def test_a_lock_that_cannot_be_audited_fails(
    text: str, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock.write_text(text)

    code, said = outcome(lock, "http://127.0.0.1:1", capsys)

    assert code == 1
    assert "a lock cannot be read" in said


def test_what_the_service_has_not_heard_of_is_not_audited_though_the_rest_is() -> None:
    """As `pip-audit` has it of a mirror that has packages alone; it calls that no fault known."""
    audit = Audit([Pin("tight", "1.0"), Pin("leaky", skip_reason="not found on PyPI")])

    said = "\n".join(audit.lines())
    assert not audit.has_faults
    assert "NOT AUDITED: 1 of 2 libraries" in said
    assert "not found on PyPI" in said
    assert "no fault is known" not in said


def test_a_fault_is_told_beside_what_is_not_audited() -> None:
    audit = Audit([Pin("leaky", "1.0", [Known("X", [])]), Pin("tight", skip_reason="not found")])

    said = "\n".join(audit.lines())
    assert audit.has_faults
    assert "KNOWN FAULT, X; it is mended in no version yet" in said
    assert "NOT AUDITED: 1 of 2 libraries" in said


def test_an_audit_of_nothing_is_none() -> None:
    assert "NOT AUDITED" in "\n".join(Audit().lines())
