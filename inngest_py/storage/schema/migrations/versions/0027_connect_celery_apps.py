"""Add Celery apps, and what is known of a task that has been sent to one.

Goes before the code that needs it: it adds tables and a column that may be null.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json, Timestamp

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and the column."""
    op.create_table(
        "celery_apps",
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("broker_url", sa.Text(), nullable=False),
        sa.Column("options", Json(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("watcher", sa.Text(), nullable=True),
        sa.Column("watched_until", Timestamp(), nullable=True),
        sa.Column("seen", Json(), nullable=True),
        sa.Column("seen_at", Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("app_id", name="celery_apps_pkey"),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name="celery_apps_app_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "task_failures",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("error", Json(), nullable=False),
        sa.Column("failed_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="task_failures_pkey"),
    )
    op.create_index("task_failures_failed_idx", "task_failures", ["failed_at"])
    op.create_table(
        "task_revocations",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="task_revocations_pkey"),
    )
    op.create_index("task_revocations_app_idx", "task_revocations", ["app_id"])
    op.add_column("queue_items", sa.Column("task", Json(), nullable=True))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("queue_items", "task")
    op.drop_table("task_revocations")
    op.drop_table("task_failures")
    op.drop_table("celery_apps")
