"""Find the debounces that hold an event by an index: pruning and the question why ask for them.

Goes before the code that needs it: it only adds an index.
"""

from alembic import op

from inngest_py.storage.schema.index_builds import build_index

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    build_index(op.get_bind(), "debounces_event_idx", "debounces", "event_id")


def downgrade() -> None:
    """Remove it."""
    op.drop_index("debounces_event_idx", table_name="debounces")
