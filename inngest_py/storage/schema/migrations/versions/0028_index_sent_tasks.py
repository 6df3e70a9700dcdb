"""Find the tasks that a Celery app has by an index: its watcher asks for them every few seconds.

Goes before the code that needs it: it only adds an index.
"""

from alembic import op

from inngest_py.storage.schema.index_builds import build_index

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    build_index(
        op.get_bind(), "queue_items_task_idx", "queue_items", "worker, id", where="task IS NOT NULL"
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_index("queue_items_task_idx", table_name="queue_items")
