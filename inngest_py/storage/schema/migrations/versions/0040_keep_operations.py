"""Keep operations, which rerun or cancel many runs or replay events, and what became of each item.

Goes before the code that needs it: it only adds tables.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

_RUNNING = sa.text("state = 'running'")
_HAS_RUN = sa.text("run_id IS NOT NULL")
_NONE = sa.text("0")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "operations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("selection", sa.Text(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("total_exact", sa.Boolean(), nullable=False),
        sa.Column("succeeded", sa.Integer(), server_default=_NONE, nullable=False),
        sa.Column("skipped", sa.Integer(), server_default=_NONE, nullable=False),
        sa.Column("failed", sa.Integer(), server_default=_NONE, nullable=False),
        sa.Column("begun_by", sa.Text(), nullable=False),
        sa.Column("before", Timestamp(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("ended_at", Timestamp(), nullable=True),
        sa.Column("due_at", Timestamp(), nullable=False),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("operations_pkey")),
    )
    op.create_index(
        "operations_due_idx",
        "operations",
        ["due_at"],
        postgresql_where=_RUNNING,
        sqlite_where=_RUNNING,
    )
    op.create_table(
        "operation_items",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", "item_id", name=op.f("operation_items_pkey")),
    )
    op.create_index(
        "operation_items_run_idx",
        "operation_items",
        ["run_id"],
        postgresql_where=_HAS_RUN,
        sqlite_where=_HAS_RUN,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("operation_items")
    op.drop_table("operations")
