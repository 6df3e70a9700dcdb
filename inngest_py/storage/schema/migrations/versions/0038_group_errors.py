"""Group the errors of failed runs.

Goes before the code that needs it: it adds tables. Upkeep groups the runs that failed before.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Json, Timestamp

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "failed_runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("failed_at", Timestamp(), nullable=False),
        sa.Column("error_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name="failed_runs_pkey"),
    )
    new, grouped = sa.text("error_id IS NULL"), sa.text("error_id IS NOT NULL")
    op.create_index(
        "failed_runs_new_idx",
        "failed_runs",
        ["failed_at"],
        postgresql_where=new,
        sqlite_where=new,
    )
    op.create_index(
        "failed_runs_error_idx",
        "failed_runs",
        ["error_id", "run_id"],
        postgresql_where=grouped,
        sqlite_where=grouped,
    )
    _add_groups()
    _add_counts()


def _add_groups() -> None:
    op.create_table(
        "error_groups",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("function_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("frames", Json(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("first_seen", Timestamp(), nullable=False),
        sa.Column("last_seen", Timestamp(), nullable=False),
        sa.Column("latest_run_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("muted_until", Timestamp(), nullable=True),
        sa.Column("resolved_at", Timestamp(), nullable=True),
        sa.Column("regressed_at", Timestamp(), nullable=True),
        sa.Column("changed_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="error_groups_pkey"),
        sa.ForeignKeyConstraint(
            ["function_id"],
            ["functions.id"],
            name="error_groups_function_id_fkey",
            ondelete="CASCADE",
        ),
    )
    op.create_index("error_groups_function_idx", "error_groups", ["function_id"])
    op.create_index("error_groups_seen_idx", "error_groups", ["last_seen", "id"])


def _add_counts() -> None:
    op.create_table(
        "error_hours",
        sa.Column("error_id", sa.Text(), nullable=False),
        sa.Column("hour", Timestamp(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("error_id", "hour", name="error_hours_pkey"),
        sa.ForeignKeyConstraint(
            ["error_id"], ["error_groups.id"], name="error_hours_error_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("error_hours_hour_idx", "error_hours", ["hour"])
    op.create_table(
        "error_versions",
        sa.Column("error_id", sa.Text(), nullable=False),
        sa.Column("app_version", sa.Text(), nullable=False),
        sa.Column("sdk", sa.Text(), nullable=False),
        sa.Column("sync", sa.Text(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("first_seen", Timestamp(), nullable=False),
        sa.Column("last_seen", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint(
            "error_id", "app_version", "sdk", "sync", name="error_versions_pkey"
        ),
        sa.ForeignKeyConstraint(
            ["error_id"],
            ["error_groups.id"],
            name="error_versions_error_id_fkey",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("error_versions")
    op.drop_table("error_hours")
    op.drop_table("error_groups")
    op.drop_table("failed_runs")
