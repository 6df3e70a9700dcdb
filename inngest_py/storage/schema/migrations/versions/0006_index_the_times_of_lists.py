"""Index the times by which events and runs are listed.

Goes before the code that needs it: it only adds indexes.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("events_received_idx", "events", ["received_at", "id"])
    op.create_index("runs_queued_idx", "runs", ["queued_at", "id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("runs_queued_idx", table_name="runs")
    op.drop_index("events_received_idx", table_name="events")
