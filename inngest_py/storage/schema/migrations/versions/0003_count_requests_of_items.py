"""Count the requests made for an item, so that late calls of an earlier one can be told apart.

Goes before the code: the old version leaves the column at its default.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "queue_items",
        sa.Column("generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("queue_items", "generation")
