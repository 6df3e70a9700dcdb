"""Call the table of waits `waits`: it was `pauses`, the word for what operators do to functions.

Goes before the code that needs it. On PostgreSQL nobody reads or writes the table for a moment.
Processes of the last release use the view `pauses`, through which PostgreSQL reads, writes and
locks the table. (Only TRUNCATE does not work, which the dev server's /test/reset needs.) A
migration that goes after the code may drop the view once no process of the last release is left: in
the release after this one.

On SQLite the last release cannot use the renamed table, since SQLite inserts into no view with ON
CONFLICT. All processes are on one machine there, and are replaced together.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None
breaks = "sqlite"

_INDEXES = {
    "lookup_idx": ["event_name", "lookup_path", "lookup_key", "id"],
    "signal_key": ["signal"],
    "run_idx": ["run_id"],
    "expires_idx": ["expires_at"],
}


def upgrade() -> None:
    """Rename the table and its indexes; leave a view of the old name on PostgreSQL."""
    _rename("pauses", "waits")
    if _on_postgresql():
        op.execute("CREATE VIEW pauses AS SELECT * FROM waits")


def downgrade() -> None:
    """Give the old names back."""
    if _on_postgresql():
        op.execute("DROP VIEW pauses")
    _rename("waits", "pauses")


def _on_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _rename(old: str, new: str) -> None:
    op.rename_table(old, new)
    if _on_postgresql():
        for name in (*_INDEXES, "pkey"):
            op.execute(f"ALTER INDEX {old}_{name} RENAME TO {new}_{name}")
        return
    for name, columns in _INDEXES.items():  # SQLite cannot rename an index
        op.drop_index(f"{old}_{name}", table_name=new)
        op.create_index(f"{new}_{name}", new, columns, unique=name.endswith("_key"))
