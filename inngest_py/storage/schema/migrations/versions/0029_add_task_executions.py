"""Add the executions of Celery tasks: when a worker received and began each.

Goes before the code that needs it: it adds a table.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json, Timestamp

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "task_executions",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("received_at", Timestamp(), nullable=False),
        sa.Column("started_at", Timestamp(), nullable=True),
        sa.Column("retried_at", Timestamp(), nullable=True),
        sa.Column("error", Json(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "task_id", "number", name="task_executions_pkey"),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("task_executions")
