"""Let the indexes of runs decide function and status together.

Building them locks writes of runs on PostgreSQL, for some seconds a million runs.
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_OLD = {"function": ["function_id", "id"], "status": ["status", "id"]}
_NEW = {"function": ["function_id", "id", "status"], "status": ["status", "id", "function_id"]}


def upgrade() -> None:
    """Replace the indexes."""
    _replace(_NEW)


def downgrade() -> None:
    """Bring back the narrower ones."""
    _replace(_OLD)


def _replace(columns: dict[str, list[str]]) -> None:
    for name, wanted in columns.items():
        op.drop_index(f"runs_{name}_idx", table_name="runs")
        op.create_index(f"runs_{name}_idx", "runs", wanted)
