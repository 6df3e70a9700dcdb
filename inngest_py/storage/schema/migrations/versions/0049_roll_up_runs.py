"""Roll up ended runs by function and hour.

Goes before the code that needs it: it only adds a table. Upkeep fills it from the runs of the last
eight days.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json, Timestamp

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "function_hours",
        sa.Column("function_id", sa.Text(), nullable=False),
        sa.Column("hour", Timestamp(), nullable=False),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("run_ms", Json(), nullable=False),
        sa.Column("queue_ms", Json(), nullable=False),
        sa.PrimaryKeyConstraint("function_id", "hour", name="function_hours_pkey"),
    )
    op.create_index("function_hours_hour_idx", "function_hours", ["hour"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("function_hours")
