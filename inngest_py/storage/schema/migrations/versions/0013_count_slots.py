"""Count requests and runs against limits of concurrency.

Goes before the code that needs it: it only adds indexes and columns that may be empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_INDEXES = (
    ("queue_items", "queue_items_slot1_idx", "slot1", "state = 'leased' AND slot1 IS NOT NULL"),
    ("queue_items", "queue_items_slot2_idx", "slot2", "state = 'leased' AND slot2 IS NOT NULL"),
    ("queue_items", "queue_items_promised_idx", "gate", "state = 'ready' AND gate IS NOT NULL"),
    ("runs", "runs_slot_idx", "run_slot", "status = 'running' AND run_slot IS NOT NULL"),
)


def upgrade() -> None:
    """Add the columns and their indexes."""
    for table, name in (
        ("queue_items", "slot1"),
        ("queue_items", "slot2"),
        ("runs", "slots"),
        ("runs", "run_slot"),
    ):
        op.add_column(table, sa.Column(name, sa.Text(), nullable=True))
    for table, name, column, where in _INDEXES:
        condition = sa.text(where)
        op.create_index(
            name,
            table,
            [column],
            unique=False,
            postgresql_where=condition,
            sqlite_where=condition,
        )


def downgrade() -> None:
    """Remove them."""
    for table, name, _, _ in _INDEXES:
        op.drop_index(name, table_name=table)
    for table, name in (
        ("queue_items", "slot1"),
        ("queue_items", "slot2"),
        ("runs", "slots"),
        ("runs", "run_slot"),
    ):
        op.drop_column(table, name)
