"""Remember what operators were told, and what is still to be sent to them.

Goes before the code that needs it: it only adds tables and an index.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json, Timestamp

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_ENDED = sa.text("ended_at IS NOT NULL")


def upgrade() -> None:
    """Add the tables, and the index by which ended runs are found."""
    op.create_table(
        "alerts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("firing", sa.Boolean(), nullable=False),
        sa.Column("told_at", Timestamp(), nullable=False),
        sa.Column("about", Json(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="alerts_pkey"),
    )
    op.create_table(
        "alert_messages",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.Column("due_at", Timestamp(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="alert_messages_pkey"),
    )
    op.create_index("alert_messages_due_idx", "alert_messages", ["due_at"])
    op.create_index(
        "runs_ended_idx",
        "runs",
        ["ended_at"],
        postgresql_where=_ENDED,
        sqlite_where=_ENDED,
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_index("runs_ended_idx", table_name="runs")
    op.drop_table("alert_messages")
    op.drop_table("alerts")
