"""Attempts say which worker made them, and workers which version they run.

Goes before the code that needs it: it adds columns that may be empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("attempts", sa.Column("worker", sa.Text()))
    op.add_column("workers", sa.Column("version", sa.Text()))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("workers", "version")
    op.drop_column("attempts", "worker")
