"""Find the last connection of a worker by its name: each one that connects asks for it.

Goes before the code that needs it: it only adds an index.
"""

from alembic import op

from inngest_py.storage.schema.index_builds import build_index

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    build_index(
        op.get_bind(), "connections_instance_idx", "connections", "instance_id, connected_at"
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_index("connections_instance_idx", table_name="connections")
