"""Finds the rows that are not what was stored, and takes them out, so that others bring them back.

SQLite keeps no checksums, but each version has a hash. Knows rows; not who may have them.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from peerstack.errors import RemoteError
from peerstack.record import decode_untrusted
from peerstack.store import blocks
from peerstack.store.faults import BrokenFile
from peerstack.store.indexes import without_indexes
from peerstack.store.profile import ProfileReads, ProfileWrites
from peerstack.store.rows import fetch, fetch_each, run_many
from peerstack.store.search import make_anew
from peerstack.store.statements import refresh_roots
from peerstack.store.values import BrokenVersion

_BROKEN: Final = "broken"
_TABLES: Final = ("records", "versions", "statements")
_COLUMNS: Final = "id, group_id, type, modified, signer, device, hash, body, signature"
# As bytes, since what is broken need not be text any more.
_AS_STORED: Final = ", ".join(f"CAST({name} AS BLOB)" for name in _COLUMNS.split(", "))


class MendingReads(ProfileReads):
    """Questions about what was taken out."""

    def broken_versions(self) -> list[BrokenVersion]:
        """The versions that were taken out of use and have not come back, in order of ids."""
        taken = [BrokenVersion(*each) for each in self.profile_get(_BROKEN) or []]
        return [each for each in taken if not self._is_here(each)]

    def _is_here(self, one: BrokenVersion) -> bool:
        digest = bytes.fromhex(one.hash)
        return any(
            fetch(self._connection, f"SELECT 1 FROM {table} WHERE hash = ?", [digest])  # noqa: S608 -- our tables
            for table in _TABLES
        )


class MendingWrites(ProfileWrites, MendingReads):
    """What takes out what is broken."""

    def mend(self) -> list[BrokenVersion]:
        """Take out all that is not what was stored, and work out indexes, sums and roots again.

        What was taken out is remembered, with what is left of its body, until it is here again.
        Raises `StoreDamaged` where the file itself is broken.
        """
        found: list[BrokenVersion] = []
        with without_indexes(self._connection):
            # Where an index is not of one mind with its table, the table is right.
            self._connection.exec_driver_sql("REINDEX")
            for table in _TABLES:
                found += _take_out(self._connection, table)
            make_anew(self._connection)
        if found:
            known = [*self.broken_versions(), *found]
            self.profile_set(_BROKEN, [list(each) for each in sorted(set(known))])
        groups = self.groups()
        for group in groups:
            blocks.begin_anew(self._connection, group.id)
        refresh_roots(self._connection, [group.id for group in groups])
        (said,), *_ = fetch(self._connection, "PRAGMA integrity_check(1)")
        if said != "ok":
            raise BrokenFile(said)
        return found


def _take_out(connection: Connection, table: str) -> list[BrokenVersion]:
    found = dict[int, BrokenVersion]()
    question = f"SELECT rowid, {_AS_STORED} FROM {table} NOT INDEXED"  # noqa: S608 -- our tables
    for number, *stored, digest, body, signature in fetch_each(connection, question):
        broken = _broken(stored, digest, body, signature)
        if broken is not None:
            found[number] = broken
    deletion = f"DELETE FROM {table} WHERE rowid = ?"  # noqa: S608 -- one of our tables
    run_many(connection, deletion, [(number,) for number in found])
    return list(found.values())


def _broken(
    stored: list[bytes], digest: bytes, body: bytes, signature: bytes
) -> BrokenVersion | None:
    """What a row was, where it is not what its body says, or its body not what its hash is of."""
    names = [each.decode(errors="replace") for each in stored[:3]]
    try:
        read = decode_untrusted(body, signature)
    except RemoteError:
        read = None
    if read is not None and digest == read.hash:
        texts = (read.id, read.group, read.type, str(read.modified), read.signer, read.device)
        if stored == [text.encode() for text in texts]:
            return None
        # The body is as it was signed, so a column is broken: maybe one of these very names.
        names = [read.id, read.group, read.type]
    record_id, group, kind = names
    return BrokenVersion(group, kind, record_id, body.decode(errors="replace"), digest.hex())
