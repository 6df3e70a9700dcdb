"""Keep each version of the workflows that config files and the API give.

Goes before the code that needs it: it only adds a table.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "workflows",
        sa.Column("function_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("tasks", Json(), nullable=False),
        sa.PrimaryKeyConstraint("function_id", "version", name="workflows_pkey"),
        sa.ForeignKeyConstraint(
            ["function_id"],
            ["functions.id"],
            name="workflows_function_id_fkey",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("workflows")
