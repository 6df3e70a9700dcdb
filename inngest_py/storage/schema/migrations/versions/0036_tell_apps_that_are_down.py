"""Tell since when an app is down, and why.

Goes before the code that needs it: it adds columns that may be empty.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("apps", sa.Column("down_since", Timestamp()))
    op.add_column("apps", sa.Column("down_cause", sa.Text()))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("apps", "down_cause")
    op.drop_column("apps", "down_since")
