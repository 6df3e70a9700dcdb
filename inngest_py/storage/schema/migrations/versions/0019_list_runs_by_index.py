"""Let the indexes of runs decide function and status together, and find runs by their start.

Goes before the code that needs it. On PostgreSQL nobody reads or writes runs meanwhile, for some
seconds a million runs: an index that goes takes the strongest lock at once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_OLD = {"function": ["function_id", "id"], "status": ["status", "id"]}
_NEW = {"function": ["function_id", "id", "status"], "status": ["status", "id", "function_id"]}
_STARTED = sa.text("started_at IS NOT NULL")


def upgrade() -> None:
    """Replace the indexes; ids serve for the time of queueing."""
    _replace(_NEW)
    op.drop_index("runs_queued_idx", table_name="runs")
    op.create_index(
        "runs_started_idx",
        "runs",
        ["started_at"],
        postgresql_where=_STARTED,
        sqlite_where=_STARTED,
    )


def downgrade() -> None:
    """Bring back those before."""
    op.drop_index("runs_started_idx", table_name="runs")
    op.create_index("runs_queued_idx", "runs", ["queued_at", "id"])
    _replace(_OLD)


def _replace(columns: dict[str, list[str]]) -> None:
    for name, wanted in columns.items():
        op.drop_index(f"runs_{name}_idx", table_name="runs")
        op.create_index(f"runs_{name}_idx", "runs", wanted)
