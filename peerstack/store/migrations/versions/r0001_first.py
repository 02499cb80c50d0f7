"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    _make_profile_and_groups()
    _make_statements()
    _make_records()
    _make_versions()
    _make_remembered()
    _make_changes()
    _make_blocks()
    _make_judging()


def _make_profile_and_groups() -> None:
    op.create_table(
        "profile",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "groups",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("joined_ms", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("sum", sa.LargeBinary, nullable=False),
        sa.Column("statements_root", sa.LargeBinary, nullable=False),
        sa.Column("statements_count", sa.BigInteger, nullable=False),
    )


def _make_statements() -> None:
    op.create_table(
        "statements",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
        sa.Column("signer", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("pending", sa.Boolean, nullable=False),
        sa.Column("waits_for", sa.Text),
        sa.Column("sender", sa.Text),
        sa.Column("by_member", sa.Boolean),
        sa.Column("since_ms", sa.BigInteger),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_statements_group", "statements", ["group_id", "pending", "signer"])
    op.create_index("ix_statements_signer", "statements", ["signer", "pending", "group_id"])
    op.create_index("ix_statements_waiting", "statements", ["waits_for", "group_id"])


def _make_records() -> None:
    op.create_table(
        "records",
        sa.Column("group_id", sa.Text, sa.ForeignKey("groups.id"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("signer", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("plain", sa.Text),
    )
    op.create_index("ix_records_key", "records", ["group_id", "modified", "id", "hash"])
    op.create_index("ix_records_type", "records", ["group_id", "type", "modified", "id"])
    op.create_index("ix_records_signer", "records", ["group_id", "signer", "id"])
    op.create_index("ix_records_device", "records", ["group_id", "device", "modified"])


def _make_versions() -> None:
    op.create_table(
        "versions",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
        sa.Column("signer", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("seq", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger),
        sa.Column("waits_for", sa.Text),
        sa.Column("sender", sa.Text),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_versions_line", "versions", ["group_id", "id"])
    op.create_index("ix_versions_state", "versions", ["group_id", "state", "hash"])
    op.create_index("ix_versions_age", "versions", ["state", "since_ms"])
    op.create_index("ix_versions_due", "versions", ["until_ms"])
    op.create_index("ix_versions_signer", "versions", ["group_id", "signer", "hash"])


def _make_remembered() -> None:
    op.create_table(
        "remembered",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("signer", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("id", sa.Text),
        sa.UniqueConstraint("group_id", "hash", name="uq_remembered_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_remembered_age", "remembered", ["group_id", "number"])
    op.create_index("ix_remembered_signer", "remembered", ["group_id", "signer"])
    op.create_index("ix_remembered_line", "remembered", ["group_id", "id"])


def _make_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("group_id", sa.Text, sa.ForeignKey("groups.id"), nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("previous", sa.LargeBinary),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("conflict", sa.Boolean, nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )


def _make_blocks() -> None:
    op.create_table(
        "blocks",
        sa.Column("group_id", sa.Text, sa.ForeignKey("groups.id"), primary_key=True),
        sa.Column("first_key", sa.LargeBinary, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("sum", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_judging() -> None:
    op.create_table(
        "judging",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("group_id", sa.Text, sa.ForeignKey("groups.id"), nullable=False),
        sa.Column("signer", sa.Text, nullable=False),
        sa.Column("cursor", sa.Text, nullable=False),
        sa.UniqueConstraint("group_id", "signer", name="uq_judging_signer"),
    )
