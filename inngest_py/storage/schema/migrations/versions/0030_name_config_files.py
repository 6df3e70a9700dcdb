"""Keep which config file declares a Celery app.

Goes before the code that needs it: it only adds a column.
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("celery_apps", sa.Column("file", sa.Text(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("celery_apps", "file")
