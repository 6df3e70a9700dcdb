"""The parts that run in greenlets in production pass their tests there, too.

Workers run with `-P gevent`, and so does the server. Each group of files runs in a process of its
own, patched by gevent before anything else is imported.
"""

import os
import subprocess
import sys

import pytest

from tests.processes import ROOT

GROUPS = {
    "HTTP clients": ("engine/test_transport.py", "engine/test_desync.py", "engine/test_tls.py"),
    "connections and statements": (
        "storage/test_session.py",
        "storage/test_connections.py",
        "storage/test_pipelined.py",
        "storage/test_rowwise.py",
        "storage/test_glance.py",
        "storage/test_busy.py",
    ),
    "group commit and items": (
        "engine/test_commit.py",
        "engine/test_runs.py",
        "engine/test_claims.py",
        "engine/test_shared_apply.py",
        "engine/test_outages.py",
    ),
    "upkeep and hints": (
        "engine/test_supervision.py",
        "engine/test_leases.py",
        "engine/test_shares.py",
        "engine/test_hints.py",
        "unit/test_hinting.py",
    ),
}
SECONDS = 600.0
# these start a process with gevent themselves
_OTHERS = "not greenlets"


@pytest.mark.parametrize("group", GROUPS)
def test_passes_in_greenlets(group: str) -> None:
    """Slow: many tests of both databases, in another process."""
    files = [f"tests/{file}" for file in GROUPS[group]]
    mine = {n: v for n, v in os.environ.items() if not n.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.gevent", "-q", "-k", _OTHERS, *files],
        cwd=ROOT,
        env=mine,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        lines = [*done.stdout.splitlines()[-200:], *done.stderr.splitlines()[-20:]]
        pytest.fail("\n".join(lines), pytrace=False)
