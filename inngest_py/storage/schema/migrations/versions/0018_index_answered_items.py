"""Index the items of waits that have ended but not gone on: pruning must keep their events.

Goes before the code that needs it: it only adds an index of few rows.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_ANSWERED = sa.text("answer IS NOT NULL")


def upgrade() -> None:
    """Add the index."""
    op.create_index(
        "queue_items_answered_idx",
        "queue_items",
        ["id"],
        postgresql_where=_ANSWERED,
        sqlite_where=_ANSWERED,
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_index("queue_items_answered_idx", table_name="queue_items")
