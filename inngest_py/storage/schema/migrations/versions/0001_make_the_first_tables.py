"""Make the first tables.

Goes before the code: no version is older.
"""

import sqlalchemy as sa
from alembic import op

from inngest_py.storage.db.columns import Timestamp

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, those that others refer to first."""
    _make_apps()
    _make_meta()
    _make_events()
    _make_runs()
    _make_steps()
    _make_queue()
    _make_workers()


def _make_apps() -> None:
    """Apps with their functions."""
    op.create_table(
        "apps",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), server_default="serve", nullable=False),
        sa.Column("sdk_language", sa.Text(), server_default="", nullable=False),
        sa.Column("sdk_version", sa.Text(), server_default="", nullable=False),
        sa.Column("framework", sa.Text(), server_default="", nullable=False),
        sa.Column("platform", sa.Text(), server_default="", nullable=False),
        sa.Column("app_version", sa.Text(), server_default="", nullable=False),
        sa.Column("checksum", sa.Text(), server_default="", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("discovered", sa.Boolean(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("synced_at", Timestamp(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("apps_pkey")),
        sa.UniqueConstraint("name", "url", name=op.f("apps_name_url_key")),
    )
    with op.batch_alter_table("apps", schema=None) as batch_op:
        batch_op.create_index("apps_url_idx", ["url"], unique=False)
    op.create_table(
        "functions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("created_at", Timestamp(), nullable=False),
        sa.Column("updated_at", Timestamp(), nullable=False),
        sa.Column("archived_at", Timestamp(), nullable=True),
        sa.ForeignKeyConstraint(
            ["app_id"], ["apps.id"], name=op.f("functions_app_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("functions_pkey")),
        sa.UniqueConstraint("app_id", "slug", name=op.f("functions_app_id_slug_key")),
    )
    with op.batch_alter_table("functions", schema=None) as batch_op:
        batch_op.create_index("functions_slug_idx", ["slug"], unique=False)


def _make_meta() -> None:
    """The number that tells caches of registrations."""
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("meta_pkey")),
    )


def _make_events() -> None:
    """Events, and the keys that make an event's id start one run."""
    op.create_table(
        "events",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("ts", Timestamp(), nullable=False),
        sa.Column("received_at", Timestamp(), nullable=False),
        sa.Column("internal", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("events_pkey")),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("events_name_idx", ["name", "id"], unique=False)
    op.create_table(
        "run_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("expires_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("run_keys_pkey")),
    )
    with op.batch_alter_table("run_keys", schema=None) as batch_op:
        batch_op.create_index("run_keys_expires_idx", ["expires_at"], unique=False)


def _make_runs() -> None:
    """Runs."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("function_id", sa.Text(), nullable=False),
        sa.Column("function_version", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("queued_at", Timestamp(), nullable=False),
        sa.Column("started_at", Timestamp(), nullable=True),
        sa.Column("ended_at", Timestamp(), nullable=True),
        sa.Column("request_version", sa.Integer(), server_default=sa.text("-1"), nullable=False),
        sa.Column("force_plan", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("pending", sa.Text(), nullable=True),
        sa.Column("step_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("state_bytes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("output", sa.Text(), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("original_run_id", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["function_id"],
            ["functions.id"],
            name=op.f("runs_function_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("runs_pkey")),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index("runs_event_idx", ["event_id"], unique=False)
        batch_op.create_index("runs_function_idx", ["function_id", "id"], unique=False)
        batch_op.create_index("runs_status_idx", ["status", "id"], unique=False)


def _make_steps() -> None:
    """What runs leave: results of steps, and every attempt."""
    op.create_table(
        "steps",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("stored_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "hash", name=op.f("steps_pkey")),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("queued_at", Timestamp(), nullable=False),
        sa.Column("started_at", Timestamp(), nullable=False),
        sa.Column("ended_at", Timestamp(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("attempts_pkey")),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index("attempts_run_idx", ["run_id"], unique=False)


def _make_queue() -> None:
    """What is to be done."""
    op.create_table(
        "queue_items",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("queued_at", Timestamp(), nullable=False),
        sa.Column("due_at", Timestamp(), nullable=False),
        sa.Column("hint_at", Timestamp(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("step_name", sa.Text(), nullable=True),
        sa.Column("current", sa.Integer(), nullable=True),
        sa.Column("opts", sa.Text(), nullable=True),
        sa.Column("lease_id", sa.Text(), nullable=True),
        sa.Column("lease_until", Timestamp(), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'leased') = (lease_id IS NOT NULL)", name=op.f("queue_items_lease_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("queue_items_pkey")),
    )
    with op.batch_alter_table("queue_items", schema=None) as batch_op:
        batch_op.create_index(
            "queue_items_hint_idx",
            ["hint_at", "id"],
            unique=False,
            postgresql_where=sa.text("state = 'ready'"),
            sqlite_where=sa.text("state = 'ready'"),
        )
        batch_op.create_index("queue_items_job_key", ["job_key"], unique=True)
        batch_op.create_index(
            "queue_items_lease_idx",
            ["lease_until"],
            unique=False,
            postgresql_where=sa.text("state = 'leased'"),
            sqlite_where=sa.text("state = 'leased'"),
        )
        batch_op.create_index("queue_items_run_idx", ["run_id"], unique=False)


def _make_workers() -> None:
    """Who is alive to do it."""
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("started_at", Timestamp(), nullable=False),
        sa.Column("heartbeat_at", Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("workers_pkey")),
    )


def downgrade() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index("runs_status_idx")
        batch_op.drop_index("runs_function_idx")
        batch_op.drop_index("runs_event_idx")

    op.drop_table("runs")
    with op.batch_alter_table("functions", schema=None) as batch_op:
        batch_op.drop_index("functions_slug_idx")

    op.drop_table("functions")
    op.drop_table("workers")
    op.drop_table("steps")
    with op.batch_alter_table("run_keys", schema=None) as batch_op:
        batch_op.drop_index("run_keys_expires_idx")

    op.drop_table("run_keys")
    with op.batch_alter_table("queue_items", schema=None) as batch_op:
        batch_op.drop_index("queue_items_run_idx")
        batch_op.drop_index(
            "queue_items_lease_idx",
            postgresql_where=sa.text("state = 'leased'"),
            sqlite_where=sa.text("state = 'leased'"),
        )
        batch_op.drop_index("queue_items_job_key")
        batch_op.drop_index(
            "queue_items_hint_idx",
            postgresql_where=sa.text("state = 'ready'"),
            sqlite_where=sa.text("state = 'ready'"),
        )

    op.drop_table("queue_items")
    op.drop_table("meta")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("events_name_idx")

    op.drop_table("events")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index("attempts_run_idx")

    op.drop_table("attempts")
    with op.batch_alter_table("apps", schema=None) as batch_op:
        batch_op.drop_index("apps_url_idx")

    op.drop_table("apps")
