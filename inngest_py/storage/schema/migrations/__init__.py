"""The schema over time (Alembic)."""
