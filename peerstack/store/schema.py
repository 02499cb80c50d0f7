"""The tables. Every other module of the store imports them from here; no queries stand here.

A schema that is not of `REVISION` is brought there by `migrations`; the two describe the same
tables, which a test compares.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

REVISION: Final = "0001"
"""The Alembic revision that these tables are."""

APPLICATION_ID: Final = 0x70737461
"""Stands in the file's header (https://www.sqlite.org/fileformat2.html, "psta")."""

metadata: Final = MetaData()

alembic_version: Final = Table(
    "alembic_version",
    metadata,
    Column("version_num", Text, primary_key=True),
)

profile: Final = Table(
    "profile",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

groups: Final = Table(
    "groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("joined_ms", BigInteger, nullable=False),
    # The sum over the live records: always the total of the group's blocks.
    Column("count", BigInteger, nullable=False),
    Column("sum", LargeBinary, nullable=False),
    Column("statements_root", LargeBinary, nullable=False),
    Column("statements_count", BigInteger, nullable=False),
)

statements: Final = Table(
    "statements",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("group_id", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("modified", BigInteger, nullable=False),
    Column("signer", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("pending", Boolean, nullable=False),
    # Of pending ones alone: what they wait for, who sent them, and when they came.
    Column("waits_for", Text),
    Column("sender", Text),
    Column("by_member", Boolean),
    Column("since_ms", BigInteger),
    Column("body", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Index("ix_statements_group", "group_id", "pending", "signer"),
    Index("ix_statements_signer", "signer", "pending", "group_id"),
    Index("ix_statements_waiting", "waits_for", "group_id"),
)

records: Final = Table(
    "records",
    metadata,
    Column("group_id", Text, ForeignKey("groups.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("modified", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signer", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    # Exactly as the author made it. Large ones fill pages of their own, so they stand last.
    Column("body", Text, nullable=False),
    # The body respelled, where its author escaped characters that keys may have: SQLite before
    # 3.45 compares keys as they are spelled.
    Column("plain", Text),
    Index("ix_records_key", "group_id", "modified", "id", "hash"),
    Index("ix_records_type", "group_id", "type", "modified", "id"),
    Index("ix_records_signer", "group_id", "signer", "id"),
    Index("ix_records_device", "group_id", "device", "modified"),
)

versions: Final = Table(
    "versions",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("group_id", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("modified", BigInteger, nullable=False),
    Column("signer", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("deleted", Boolean, nullable=False),
    # The entry of `changes` that tells of this version.
    Column("seq", BigInteger),
    Column("state", Text, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
    # Held: until this time comes, or a statement that is missing. Quarantined: until more is said
    # about the end of a right that this is outside of (its hash in hex), or the reason's name.
    Column("until_ms", BigInteger),
    Column("waits_for", Text),
    # The member's device that a held version came from.
    Column("sender", Text),
    Column("signature", LargeBinary, nullable=False),
    Column("body", Text, nullable=False),
    Index("ix_versions_line", "group_id", "id"),
    Index("ix_versions_state", "group_id", "state", "hash"),
    Index("ix_versions_age", "state", "since_ms"),
    Index("ix_versions_due", "until_ms"),
    Index("ix_versions_signer", "group_id", "signer", "hash"),
)

remembered: Final = Table(
    "remembered",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("group_id", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    # The record, where history let go of this version: it may be needed again.
    Column("id", Text),
    UniqueConstraint("group_id", "hash", name="uq_remembered_hash"),
    Index("ix_remembered_age", "group_id", "number"),
    Index("ix_remembered_signer", "group_id", "signer"),
    Index("ix_remembered_line", "group_id", "id"),
    sqlite_autoincrement=True,
)

changes: Final = Table(
    "changes",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("group_id", Text, ForeignKey("groups.id"), nullable=False),
    Column("id", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("previous", LargeBinary),
    Column("origin", Text, nullable=False),
    Column("conflict", Boolean, nullable=False),
    # The version left, since its author had no right to it.
    Column("withdrawn", Boolean, nullable=False),
    # A number is never given twice, so that what an app has read up to stays true.
    sqlite_autoincrement=True,
)

blocks: Final = Table(
    "blocks",
    metadata,
    Column("group_id", Text, ForeignKey("groups.id"), primary_key=True),
    # A bound, not necessarily a key; a group's first block begins at b"".
    Column("first_key", LargeBinary, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("sum", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

judging: Final = Table(
    "judging",
    metadata,
    # Whose turn it is: the lowest number's.
    Column("number", Integer, primary_key=True),
    Column("group_id", Text, ForeignKey("groups.id"), nullable=False),
    Column("signer", Text, nullable=False),
    # How far it has come; empty at the beginning.
    Column("cursor", Text, nullable=False),
    UniqueConstraint("group_id", "signer", name="uq_judging_signer"),
)
