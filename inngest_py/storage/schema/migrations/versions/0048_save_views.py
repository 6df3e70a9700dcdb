"""Save views of the list of runs under names.

Goes before the code that needs it: it adds a table.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "saved_views",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("saved_views")
