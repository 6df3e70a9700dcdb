"""Let workers tell which of their services of upkeep fail.

Goes before the code that needs it: it only adds a column that may be empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("workers", sa.Column("faults", sa.Text(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("workers", "faults")
