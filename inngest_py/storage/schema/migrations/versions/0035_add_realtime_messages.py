"""Add the table of realtime messages on their way to other processes.

Goes before the code that needs it: it adds a table.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import BigId, Json, Timestamp

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "realtime_messages",
        sa.Column("id", BigId, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="realtime_messages_pkey"),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("realtime_messages")
