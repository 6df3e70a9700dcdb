"""Let functions be paused, their runs and items held.

Goes before the code that needs it: it only adds columns that are empty, or have a default.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("functions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("paused", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("paused_at", Timestamp(), nullable=True))
        batch_op.add_column(
            sa.Column("resuming", sa.Boolean(), server_default=sa.text("false"), nullable=False)
        )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("held", sa.Boolean(), server_default=sa.text("false"), nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_column("held")
    with op.batch_alter_table("functions", schema=None) as batch_op:
        batch_op.drop_column("resuming")
        batch_op.drop_column("paused_at")
        batch_op.drop_column("paused")
