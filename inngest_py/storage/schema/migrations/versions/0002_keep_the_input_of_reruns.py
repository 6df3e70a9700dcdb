"""Keep the new input that a rerun gives a step.

Goes before the code that needs it: it only adds columns that may be empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("runs", sa.Column("input_step", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("input", sa.Text(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_column("input")
        batch_op.drop_column("input_step")
