"""Add pauses, the answers of waits and what traces show of them. Goes before the code."""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pauses",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("event_name", sa.Text(), nullable=True),
        sa.Column("expression", sa.Text(), nullable=True),
        sa.Column("lookup_path", sa.Text(), server_default="", nullable=False),
        sa.Column("lookup_key", sa.Text(), server_default="", nullable=False),
        sa.Column("signal", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("expires_at", Timestamp(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pauses_pkey")),
    )
    op.create_index(
        "pauses_lookup_idx", "pauses", ["event_name", "lookup_path", "lookup_key", "id"]
    )
    op.create_index("pauses_signal_key", "pauses", ["signal"], unique=True)
    op.create_index("pauses_run_idx", "pauses", ["run_id"])
    op.create_index("pauses_expires_idx", "pauses", ["expires_at"])
    op.add_column("queue_items", sa.Column("answer", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("info", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "info")
    op.drop_column("queue_items", "answer")
    op.drop_table("pauses")
