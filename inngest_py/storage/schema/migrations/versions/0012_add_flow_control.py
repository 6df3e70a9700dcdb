"""Add what flow control remembers: buckets, debounces, batches, singleton locks, waiting items.

Goes before the code that needs it: it only adds tables, indexes and columns that may be empty.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_RUN_COLUMNS = ("existing_run_id", "singleton_key")


def upgrade() -> None:
    """Add the tables, the columns and their indexes."""
    _add_tables()
    for name in _RUN_COLUMNS:
        op.add_column("runs", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("queue_items", sa.Column("rank_us", _BIG, nullable=True))
    op.add_column("queue_items", sa.Column("gate", sa.Text(), nullable=True))
    _add_index("runs", "runs_batch_idx", ["batch_id"], "batch_id IS NOT NULL")
    ranked = "state = 'ready' AND rank_us IS NOT NULL"
    _add_index("queue_items", "queue_items_rank_idx", ["rank_us", "id"], ranked)
    columns = ["gate", "rank_us", "id"]
    _add_index("queue_items", "queue_items_gate_idx", columns, "state = 'waiting'")


def _add_index(table: str, name: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        name, table, columns, unique=False, postgresql_where=condition, sqlite_where=condition
    )


def _add_tables() -> None:
    op.create_table(
        "buckets",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("arrival_ns", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("buckets_pkey")),
    )
    op.create_index("buckets_arrival_idx", "buckets", ["arrival_ns"], unique=False)
    op.create_table(
        "debounces",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("function_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("ts_ms", _BIG, nullable=True),
        sa.Column("first_at", Timestamp(), nullable=True),
        sa.Column("fires_at", Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("debounces_pkey")),
    )
    op.create_table(
        "batch_buckets",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("function_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=True),
        sa.Column("size", _BIG, nullable=True),
        sa.Column("due_at", Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("batch_buckets_pkey")),
    )
    op.create_table(
        "batch_events",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("added_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("batch_events_pkey")),
    )
    op.create_index("batch_events_event_idx", "batch_events", ["event_id"], unique=False)
    op.create_table(
        "singleton_locks",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("singleton_locks_pkey")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("queue_items_gate_idx", table_name="queue_items")
    op.drop_index("queue_items_rank_idx", table_name="queue_items")
    op.drop_index("runs_batch_idx", table_name="runs")
    with op.batch_alter_table("queue_items", schema=None) as batch_op:
        batch_op.drop_column("gate")
        batch_op.drop_column("rank_us")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        for name in _RUN_COLUMNS:
            batch_op.drop_column(name)
    for table in ("singleton_locks", "batch_events", "batch_buckets", "debounces", "buckets"):
        op.drop_table(table)
