"""Mark the runs of durable endpoints.

Goes before the code that needs it: it only adds a column that may be empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("runs", sa.Column("endpoint", sa.Text(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("runs", "endpoint")
