"""Tasks that are revoked, or over their time, while they wait for a slot: later ones are taken."""

import subprocess
import sys

from inngest_py.storage.db.session import Database


def test_killed_tasks_hold_up_no_message_and_keep_no_slot(db: Database) -> None:
    url = db.url.render_as_string(hide_password=False).replace("postgresql+psycopg2", "postgresql")
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.killed_waiters", url],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
