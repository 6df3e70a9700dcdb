"""Add the operators of the dashboard, and indexes for related runs.

Goes before the code that needs it: it adds tables, and indexes of few rows.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_RELATED = ("original_run_id", "correlation_id")


def upgrade() -> None:
    """Add the tables and indexes."""
    op.create_table(
        "operators",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="operators_pkey"),
    )
    op.create_table(
        "operator_sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("expires_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="operator_sessions_pkey"),
        sa.ForeignKeyConstraint(
            ["name"],
            ["operators.name"],
            name="operator_sessions_name_fkey",
            ondelete="CASCADE",
        ),
    )
    op.create_index("operator_sessions_expires_idx", "operator_sessions", ["expires_at"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", Timestamp(), nullable=False),
        *[
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("name", "action", "target", "detail", "address")
        ],
        sa.PrimaryKeyConstraint("id", name="audit_pkey"),
    )
    op.create_index("audit_action_idx", "audit", ["action", "at"])
    for column in _RELATED:
        some = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"runs_{column.removesuffix('_id').removesuffix('_run')}_idx",
            "runs",
            [column],
            postgresql_where=some,
            sqlite_where=some,
        )


def downgrade() -> None:
    """Remove them."""
    op.drop_index("runs_correlation_idx", "runs")
    op.drop_index("runs_original_idx", "runs")
    for table in ("audit", "operator_sessions", "operators"):
        op.drop_table(table)
