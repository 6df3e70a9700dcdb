"""Let people have the workers of a Celery app asked for their tasks.

Goes before the code that needs it: it adds a column that may be empty.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("celery_apps", sa.Column("refresh_wanted_at", Timestamp()))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("celery_apps", "refresh_wanted_at")
