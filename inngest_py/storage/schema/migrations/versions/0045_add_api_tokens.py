"""API tokens: named keys with a scope, which end and can be revoked.

Goes before the code that needs it: it adds a table.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0045"
down_revision = "0041"
branch_labels = None
depends_on = None
_LIVE = sa.text("revoked_at IS NULL")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("hash", sa.Text(), nullable=False, unique=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("expires_at", Timestamp()),
        sa.Column("revoked_at", Timestamp()),
        sa.Column("last_used_at", Timestamp()),
    )
    op.create_index(
        "api_tokens_name_idx",
        "api_tokens",
        ["name"],
        unique=True,
        postgresql_where=_LIVE,
        sqlite_where=_LIVE,
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("api_tokens")
