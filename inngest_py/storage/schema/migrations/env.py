"""Alembic's environment: runs on the connection that migrate.py hands over."""

from alembic import context

from inngest_py.storage.schema.tables import Base

connection = context.config.attributes.get("connection")
context.configure(
    connection=connection, target_metadata=Base.metadata, render_as_batch=True, compare_type=True
)
context.run_migrations()
