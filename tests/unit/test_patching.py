"""In a gevent worker, no name in Celery or kombu blocks all greenlets."""

import subprocess
import sys

# as `celery -A inngest_py worker -P gevent` begins
_BEGIN = """
import sys
sys.argv = ["celery", "-A", "inngest_py", "worker", "-P", "gevent"]
import celery.__main__
celery.__main__.maybe_patch_concurrency()
from inngest_py.tasks.kombu import gevent_patching as patching
"""
_LOOK = """
native_ids = {id(one) for module in patching.WAITING for one in patching.originals(module).values()}
print(sorted(
    f"{module.__name__}.{name}"
    for module in patching.loaded_modules()
    for name, value in vars(module).items()
    if id(value) in native_ids
))
"""


def run(code: str) -> str:
    argv = [sys.executable, "-c", _BEGIN + code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_names_taken_before_the_patch_are_replaced() -> None:
    taken = run("import kombu.utils.functional, time" + _LOOK + "import inngest_py.celery" + _LOOK)
    before, after = taken.splitlines()
    assert "kombu.utils.functional.sleep" in before
    assert after == "[]"
