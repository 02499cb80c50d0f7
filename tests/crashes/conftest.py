"""Two people and a server, as for the tests of the command."""

from __future__ import annotations

from tests.cli.conftest import ana, ben, server

__all__ = ["ana", "ben", "server"]
