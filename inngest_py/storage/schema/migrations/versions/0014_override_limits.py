"""Let limits of functions be overridden.

Goes before the code that needs it: it only adds columns that may be empty, and their index.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_OVERRIDDEN = sa.text("limits_until IS NOT NULL")


def upgrade() -> None:
    """Add the columns and the index."""
    for column in (
        sa.Column("limits", sa.Text(), nullable=True),
        sa.Column("limits_until", Timestamp(), nullable=True),
        sa.Column("limits_at", Timestamp(), nullable=True),
        sa.Column("limits_by", sa.Text(), nullable=True),
        sa.Column("limits_revision", sa.Integer(), server_default=sa.text("0"), nullable=False),
    ):
        op.add_column("functions", column)
    op.create_index(
        "functions_limits_idx",
        "functions",
        ["limits_until"],
        unique=False,
        postgresql_where=_OVERRIDDEN,
        sqlite_where=_OVERRIDDEN,
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_index("functions_limits_idx", table_name="functions")
    for name in ("limits_revision", "limits_by", "limits_at", "limits_until", "limits"):
        op.drop_column("functions", name)
