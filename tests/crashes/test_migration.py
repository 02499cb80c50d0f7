"""A process that is killed while it brings a database to a newer schema."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from peerstack.store import migrations
from tests.crashes.inspection import Database
from tests.crashes.reading import make_profile, read_all
from tests.server_process import ROOT

STEP = """
import os, signal
from alembic import op

revision, down_revision = "0002", "0001"

def upgrade():
    op.execute("CREATE TABLE more (body TEXT)")
    op.execute("INSERT INTO more SELECT body || body || body FROM records")
    op.execute("UPDATE records SET body = '{}'")
    op.execute("DELETE FROM changes")
    if os.environ.get("KILLED"):
        os.kill(os.getpid(), signal.SIGKILL)
"""

# A peerstack with one step more, and with so little cache that SQLite writes before the commit.
OPEN = """
import sys
from pathlib import Path
from peerstack.store import Store, files, migrations, opening, schema

database, steps = map(Path, sys.argv[1:])
migrations._config.__defaults__ = (steps,)
schema.REVISION = files.REVISION = "0002"
opening._SETTINGS += ("PRAGMA cache_size = 1",)
Store.open(database).close()
"""


def migrate(database: Path, steps: Path, **environment: str) -> int:
    """Open a database with a newer peerstack; how that process ended."""
    return subprocess.run(
        [sys.executable, "-c", OPEN, database, steps],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    ).returncode


def revision_of(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        ((revision,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return str(revision)


async def test_killed_in_the_middle_of_a_migration_all_is_as_it_was_before(tmp_path: Path) -> None:
    database, steps = tmp_path / "ana.db", tmp_path / "steps"
    values = await make_profile(database)
    shutil.copytree(Path(migrations.__file__).parent, steps)
    (steps / "versions" / "r0002_more.py").write_text(STEP)

    killed = migrate(database, steps, KILLED="yes")
    # Half of it was on the disk.
    log = database.with_name(database.name + "-wal").stat().st_size
    found = await read_all(database)

    assert killed == -signal.SIGKILL
    assert log > 100_000
    assert found.values == values
    assert revision_of(database) == "0001"
    Database(database).check()
    assert migrate(database, steps) == 0
    assert revision_of(database) == "0002"
