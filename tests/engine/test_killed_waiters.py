"""Tasks that are revoked or time out while they wait for a slot delay no later message."""

import subprocess
import sys

from inngest_py.storage.db.session import Database


def test_killed_tasks_delay_no_message_and_keep_no_slot(db: Database) -> None:
    url = db.url.render_as_string(hide_password=False).replace("postgresql+psycopg2", "postgresql")
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.killed_waiters", url],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
