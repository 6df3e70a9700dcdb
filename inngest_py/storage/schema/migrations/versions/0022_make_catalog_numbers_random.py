"""Leave room for numbers of the catalogue that are used once.

Goes before the code that needs it: the table has a few rows, and integers fit into the new type.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen the column; SQLite's integers are as wide already."""
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("meta", "value", type_=sa.BigInteger(), existing_nullable=False)


def downgrade() -> None:
    """Narrow it; whoever has cached the catalogue reads it again."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("UPDATE meta SET value = value % 1000000000")
        op.alter_column("meta", "value", type_=sa.Integer(), existing_nullable=False)
