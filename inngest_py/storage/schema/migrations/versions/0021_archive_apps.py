"""Archive apps, where they were deleted with their runs.

Goes before the code that needs it: it only adds a column that may be empty.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("apps", sa.Column("archived_at", Timestamp(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("apps", "archived_at")
