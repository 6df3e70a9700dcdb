"""Let revocations of Celery tasks say that a running one is killed.

Goes before the code that needs it: it adds a column with a default.
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column(
        "task_revocations",
        sa.Column("terminate", sa.Boolean(), nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_column("task_revocations", "terminate")
