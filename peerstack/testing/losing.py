"""A store that can lose a transaction whole, as a process that ends before its commit does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from peerstack.store import Store, Transaction


class Lost(Exception):
    """A transaction was rolled back right before its commit."""


class LosingStore(Store):
    """A store of a simulated device."""

    _loses = False

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """See `Store.transaction`. Raises `Lost` where it is to be lost, behind the block."""
        with super().transaction() as transaction:
            yield transaction
            if self._loses:
                raise Lost

    @contextmanager
    def losing(self, loses: bool) -> Iterator[None]:
        """Whether what is committed meanwhile is lost."""
        self._loses = loses
        try:
            yield
        finally:
            self._loses = False
