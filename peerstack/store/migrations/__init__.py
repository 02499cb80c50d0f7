"""Brings databases that an older peerstack made up to the present schema, with Alembic.

Imported only where the schema is not the present one. Knows revisions; the steps themselves are in
`versions`, one a file, and are never changed once released.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def is_known(revision: str) -> bool:
    """Whether this peerstack can bring a schema of `revision` up to date."""
    return revision in {script.revision for script in _scripts().walk_revisions()}


def head() -> str | None:
    """The revision that all steps together lead to."""
    return _scripts().get_current_head()


def upgrade(connection: Connection) -> None:
    """Take all steps that are missing, in the transaction of `connection`."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(folder: Path = Path(__file__).parent) -> Config:
    config = Config()
    # Alembic reads the path through a template in which % has a meaning.
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config
