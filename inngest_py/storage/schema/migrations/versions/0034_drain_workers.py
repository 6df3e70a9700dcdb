"""Add gateways, and what operators see of connections and ask of them.

Goes before the code that needs it: it adds a table, and columns that may be empty or have a
constant default.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json, Timestamp

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the columns."""
    op.create_table(
        "gateways",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("is_draining", sa.Boolean(), nullable=False),
        sa.Column("heartbeat_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="gateways_pkey"),
    )
    op.add_column("connections", sa.Column("requests", Json(), nullable=False, server_default="[]"))
    op.add_column("connections", sa.Column("drain_asked_at", Timestamp()))
    op.add_column("connections", sa.Column("closed_at", Timestamp()))
    op.add_column("connections", sa.Column("close_reason", sa.Text()))


def downgrade() -> None:
    """Remove them."""
    for name in ("close_reason", "closed_at", "drain_asked_at", "requests"):
        op.drop_column("connections", name)
    op.drop_table("gateways")
