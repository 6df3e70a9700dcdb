"""Greenlets that are killed while they lead a commit, follow or wait: the others go on."""

import subprocess
import sys

from inngest_py.storage.session import Database


def test_killed_writers_wedge_nobody(db: Database) -> None:
    url = db.url.render_as_string(hide_password=False).replace("postgresql+psycopg2", "postgresql")
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.killed_commits", url],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
