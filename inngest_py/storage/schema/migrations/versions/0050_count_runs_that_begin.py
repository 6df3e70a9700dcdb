"""Count the runs of a function that begin in an hour beside those that end.

Goes before the code that needs it: it adds a column with a default. Upkeep counts the starts of the
last eight days.
"""

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    begun = sa.Column("begun", sa.Integer(), nullable=False, server_default=sa.text("0"))
    op.add_column("function_hours", begun)


def downgrade() -> None:
    """Remove it."""
    op.drop_column("function_hours", "begun")
