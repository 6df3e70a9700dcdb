"""Count the leases of queue items that ended without a word of their holder.

Goes before the code, whose claims read the column; the older code leaves it at 0. A constant
default rewrites no table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "queue_items", sa.Column("lapses", sa.Integer(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("queue_items", "lapses")
