"""Keep the W3C context that an event came in.

Goes before the code that needs it: it only adds a column that may be empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("events", sa.Column("traceparent", sa.Text(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("events", "traceparent")
