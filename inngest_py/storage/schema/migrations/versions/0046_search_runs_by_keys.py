"""Find runs by keys that functions declare, such as an order's id.

Goes before the code that needs it: it adds tables, and a column that may be empty. Runs that the
last release still makes are indexed by the walk that begins when a key is declared: so declare keys
when its processes are gone.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json, Timestamp

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and the column."""
    op.add_column("functions", sa.Column("search_keys", Json()))
    op.create_table(
        "search_keys",
        sa.Column("function_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("declared_at", Timestamp(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("due_at", Timestamp(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("function_id", "name", name="search_keys_pkey"),
        sa.ForeignKeyConstraint(
            ["function_id"],
            ["functions.id"],
            name="search_keys_function_id_fkey",
            ondelete="CASCADE",
        ),
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "search_keys_due_idx", "search_keys", ["due_at"], postgresql_where=due, sqlite_where=due
    )
    op.create_table(
        "run_search_keys",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "key", "value", name="run_search_keys_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("run_search_keys_value_idx", "run_search_keys", ["key", "value", "run_id"])


def downgrade() -> None:
    """Remove them."""
    op.drop_table("run_search_keys")
    op.drop_table("search_keys")
    op.drop_column("functions", "search_keys")
