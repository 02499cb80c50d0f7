"""The blocking API is the same API: compared name by name, and used from threads."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import peerstack
from peerstack.node.blocking import _Loop, open_linked_sync, open_sync, recover_sync
from peerstack.node.enrol import open_linked
from peerstack.node.node import open as open_async
from peerstack.node.restore import recover

# What the framework's own parts use of each other, and no app does.
INTERNAL = {
    *("perform", "read", "changes", "living_list", "wall_ms", "shown"),
    *("until", "hindrances", "closed"),
}


def public(kind: type) -> dict[str, object]:
    members = {name: value for base in reversed(kind.__mro__) for name, value in vars(base).items()}
    return {name: value for name, value in members.items() if not name.startswith("_")}


@pytest.mark.parametrize(
    ("asynchronous", "blocking", "left_out"),
    [
        (peerstack.Node, peerstack.SyncNode, INTERNAL),
        (peerstack.Group, peerstack.SyncGroup, set[str]()),
        (peerstack.Linking, peerstack.SyncLinking, set[str]()),
    ],
)
def test_each_public_name_stands_in_both_with_the_same_parameters(
    asynchronous: type, blocking: type, left_out: set[str]
) -> None:
    ours, twins = public(asynchronous), public(blocking)

    assert set(ours) - left_out == set(twins)
    for name, twin in twins.items():
        if callable(twin):
            assert parameters(ours[name]) == parameters(twin), name


def parameters(function: object) -> list[tuple[str, object, object]]:
    assert callable(function)
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in found]


def test_opening_and_recovering_take_the_same_arguments_in_both() -> None:
    assert parameters(open_async) == parameters(open_sync)
    assert parameters(recover) == parameters(recover_sync)
    assert parameters(open_linked) == parameters(open_linked_sync)


def test_a_blocking_node_serves_several_threads(tmp_path: Path) -> None:
    with peerstack.open_sync(tmp_path / "ana.db", name="Ana", network=False) as node:
        threads = [
            threading.Thread(target=node.personal.put, args=("note", {"n": number}))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        found = node.personal.find("note", order_by="n")

    assert [note.value["n"] for note in found] == list(range(8))


def test_blocking_changes_and_lists_are_ordinary_iterators(tmp_path: Path) -> None:
    with peerstack.open_sync(tmp_path / "ana.db", name="Ana", network=False) as node:
        changes = node.personal.changes()
        lists = node.personal.live("note")
        assert next(lists) == []

        note = node.personal.put("note", {"title": "Milk"})

        assert next(changes).record == note
        assert next(lists) == [note]


def test_an_error_inside_the_block_comes_out_as_it_is(tmp_path: Path) -> None:
    with (
        pytest.raises(peerstack.NotFound, match="no group"),
        peerstack.open_sync(tmp_path / "ana.db", name="Ana", network=False) as node,
    ):
        node.group("Nowhere")


def test_an_iterator_that_ctrl_c_interrupts_ends_with_nothing_else_wrong() -> None:
    main = threading.main_thread().ident
    ended = []
    assert main is not None

    async def stream() -> AsyncIterator[None]:
        signal.pthread_kill(main, signal.SIGINT)
        try:
            await asyncio.Event().wait()
            yield
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    loop = _Loop()
    try:
        with pytest.raises(KeyboardInterrupt):
            next(loop.iterate(stream()))
    finally:
        loop.close()

    assert ended == [True]
