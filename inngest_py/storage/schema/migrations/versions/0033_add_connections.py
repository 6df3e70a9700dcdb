"""Add the connections of workers, and their groups.

Goes before the code that needs it: it adds tables.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json, Timestamp

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "connections",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("groups", Json(), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column("sdk_language", sa.Text(), nullable=False),
        sa.Column("sdk_version", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("attributes", Json(), nullable=False),
        sa.Column("connected_at", Timestamp(), nullable=False),
        sa.Column("heartbeat_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="connections_pkey"),
    )
    op.create_index("connections_heartbeat_idx", "connections", ["heartbeat_at"])
    op.create_table(
        "worker_groups",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("app_version", sa.Text(), nullable=False),
        sa.Column("sdk_language", sa.Text(), nullable=False),
        sa.Column("sdk_version", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("sync_id", sa.Text(), nullable=False),
        sa.Column("synced_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="worker_groups_pkey"),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name="worker_groups_app_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("worker_groups_app_idx", "worker_groups", ["app_id", "synced_at"])


def downgrade() -> None:
    """Remove them."""
    op.drop_table("worker_groups")
    op.drop_table("connections")
