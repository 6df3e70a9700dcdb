"""Receivers of alerts that people add, and the ticks that crons have missed.

Goes before the code that needs it: it adds a table, and columns that may be empty.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json, Timestamp

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the columns."""
    op.create_table(
        "alert_receivers",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("alerts", Json(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("sent_at", Timestamp()),
        sa.Column("failed_at", Timestamp()),
        sa.Column("error", sa.Text()),
    )
    op.add_column("crons", sa.Column("missed_tick", Timestamp()))
    op.add_column("crons", sa.Column("missed_seen_at", Timestamp()))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("crons", "missed_seen_at")
    op.drop_column("crons", "missed_tick")
    op.drop_table("alert_receivers")
