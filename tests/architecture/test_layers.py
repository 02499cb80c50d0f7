"""Data flows one way: no module imports what stands after it, or reads a clock below `node`."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.import_rules import Module, uses_of, violations
from tests.architecture.project import ROOT, project_modules


def public_names() -> set[str]:
    """`peerstack.__all__`, read without running it."""
    tree = ast.parse((ROOT / "peerstack/__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def broken(module: str, source: str, *, is_package: bool = False) -> list[str]:
    found = violations([Module(module, source, is_package)], public_names={"Node"})
    return [violation.advice for violation in found]


def test_every_module_imports_only_what_stands_before_it() -> None:
    found = violations(project_modules(), public_names())

    assert not found, "\n" + "\n".join(map(str, found))


def test_the_rule_is_read_over_all_three_packages() -> None:
    packages = {module.name.split(".")[0] for module in project_modules()}

    assert packages == {"peerstack", "peerstack_server", "family_notes"}


# --- The checker itself: each rule is seen to fail on the smallest source that breaks it. ---------

BAD = {
    "a later module": ("peerstack.keys", "from peerstack import record"),
    "a later module, by relative import": ("peerstack.keys", "from . import record"),
    "a later module, from inside a package": (
        "peerstack.groups.rules",
        "from ..store.schema import RECORDS",
    ),
    "a later module, for its types alone": (
        "peerstack.keys",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import peerstack.record",
    ),
    "a later module, inside a function": (
        "peerstack.keys",
        "def late():\n    import peerstack.engine",
    ),
    "the public names, below node": ("peerstack.engine", "from peerstack import Node"),
    "transport in the engine": ("peerstack.engine", "from peerstack.transport import base"),
    "the engine in a transport": ("peerstack.transport.memory", "import peerstack.engine"),
    "signaling in a transport": (
        "peerstack.transport.memory",
        "from peerstack.signaling import wire",
    ),
    "the client of signaling in a transport": (
        "peerstack.transport.webrtc",
        "import peerstack.signaling.client",
    ),
    "the client of signaling in the engine": (
        "peerstack.engine",
        "from peerstack.signaling.client import Client",
    ),
    "ids in signaling.wire": ("peerstack.signaling.wire", "from peerstack.ids import new_id"),
    "records in reconcile": ("peerstack.reconcile.ranges", "from peerstack.record import Record"),
    "the store in a session": ("peerstack.session.peer", "from peerstack import store"),
    "sqlalchemy in a session": ("peerstack.session.peer", "import sqlalchemy as sa"),
    "alembic outside the store": ("peerstack.node", "from alembic import command"),
    "aiortc in the node": ("peerstack.node.shell", "import aiortc"),
    "aiortc in another transport": ("peerstack.transport.memory", "from aiortc import rtp"),
    "socketio in the rendezvous": ("peerstack.signaling.rendezvous", "import socketio"),
    "the server in the node": ("peerstack.node", "import peerstack_server"),
    "more of the server than its rooms": (
        "peerstack.testing.world",
        "from peerstack_server import cli",
    ),
    "an app in the framework": ("peerstack.cli", "import family_notes"),
    "asyncio in the engine": ("peerstack.engine", "import asyncio"),
    "asyncio in a pure transport": ("peerstack.transport.sdp", "from asyncio import Queue"),
    "time in the store": ("peerstack.store.writes", "import time"),
    "random in reconcile": ("peerstack.reconcile", "from random import choice"),
    "secrets in keys": ("peerstack.keys", "import secrets"),
    "os.urandom": ("peerstack.keys", "import os\nos.urandom(32)"),
    "os.urandom under another name": ("peerstack.keys", "from os import urandom as draw"),
    "datetime.now": ("peerstack.record", "from datetime import datetime\ndatetime.now()"),
    "datetime.now of the module": (
        "peerstack.record",
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
    ),
    "a key from nowhere": (
        "peerstack.keys",
        "from nacl.signing import SigningKey\nSigningKey.generate()",
    ),
    "a clock in the server's rooms": ("peerstack_server.rooms", "import time"),
    "records in the server": ("peerstack_server.rooms", "from peerstack.record import Record"),
    "another part of signaling in the server": (
        "peerstack_server.app",
        "from peerstack.signaling import rendezvous",
    ),
    "an app in the server": ("peerstack_server.app", "import family_notes"),
    "a private name in the app": ("family_notes.app", "from peerstack.node import Node"),
    "a private name in the app, by attribute": (
        "family_notes.app",
        "import peerstack\npeerstack.engine.Engine",
    ),
    "the server in the app": ("family_notes.app", "import peerstack_server"),
    "a module without a place": ("peerstack.helpers", ""),
}

GOOD = {
    "earlier modules": ("peerstack.engine", "from peerstack import errors, record, store"),
    "its own package": ("peerstack.store.writes", "from . import schema\nimport sqlalchemy"),
    "its own package, as the package": ("peerstack.groups", "from .rules import admit"),
    "aiortc and asyncio in webrtc": ("peerstack.transport.webrtc", "import aiortc, asyncio"),
    "socketio and asyncio in the client": (
        "peerstack.signaling.client",
        "import asyncio, random, socketio\nfrom peerstack.signaling import wire",
    ),
    "asyncio in the node": ("peerstack.node.shell", "import asyncio, time, secrets"),
    "a datetime that is no clock": (
        "peerstack.record",
        "from datetime import datetime\ndatetime.fromtimestamp(0)",
    ),
    "the server's rooms in testing": (
        "peerstack.testing.world",
        "from peerstack_server.rooms import Rooms",
    ),
    "signaling.wire in the server": (
        "peerstack_server.app",
        "import socketio\nfrom peerstack.signaling.wire import Join",
    ),
    "public names in the app": ("family_notes.app", "import peerstack\npeerstack.Node"),
    "a name that only begins alike": ("peerstack.keys", "import timeit\nimport asyncio_extras"),
}


@pytest.mark.parametrize(("module", "source"), BAD.values(), ids=BAD)
def test_the_checker_refuses(module: str, source: str) -> None:
    assert broken(module, source, is_package=module == "peerstack.groups")


@pytest.mark.parametrize(("module", "source"), GOOD.values(), ids=GOOD)
def test_the_checker_accepts(module: str, source: str) -> None:
    assert broken(module, source, is_package=module == "peerstack.groups") == []


def test_the_checker_refuses_socketio_in_a_second_module_of_the_server() -> None:
    first = Module("peerstack_server.app", "import socketio")
    second = Module("peerstack_server.rooms", "import socketio")

    found = violations([first, second], public_names=())

    assert [violation.use.module for violation in found] == ["peerstack_server.rooms"]


def test_a_violation_says_where_it_is_and_what_to_do() -> None:
    (violation,) = violations([Module("peerstack.keys", "\nimport peerstack.store")], ())

    assert str(violation) == (
        "peerstack.keys, line 2: uses peerstack.store; 'store' does not stand before 'keys'; "
        "move what both need to an earlier place, or take it as an argument"
    )


def test_relative_imports_are_resolved_from_modules_and_packages_alike() -> None:
    from_module = uses_of(Module("peerstack.store.reads", "from .schema import RECORDS"))
    from_package = uses_of(Module("peerstack.store", "from .schema import RECORDS", True))

    assert [use.name for use in from_module + from_package] == [
        "peerstack.store.schema.RECORDS"
    ] * 2
