"""Plan crons.

Goes before the code that needs it: it only adds a table, and has apps sync again.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "crons",
        sa.Column("function_id", sa.Text(), nullable=False),
        sa.Column("expression", sa.Text(), nullable=False),
        sa.Column("tick", Timestamp(), nullable=False),
        sa.ForeignKeyConstraint(
            ["function_id"],
            ["functions.id"],
            name=op.f("crons_function_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("function_id", "expression", name=op.f("crons_pkey")),
    )
    with op.batch_alter_table("crons", schema=None) as batch_op:
        batch_op.create_index("crons_tick_idx", ["tick"], unique=False)
    # apps that are registered already: their next sync counts as a new one and plans their crons
    op.execute("UPDATE apps SET checksum = ''")


def downgrade() -> None:
    with op.batch_alter_table("crons", schema=None) as batch_op:
        batch_op.drop_index("crons_tick_idx")

    op.drop_table("crons")
