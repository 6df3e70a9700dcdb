"""`python -m tests.gevent FILE …` runs pytest in a process that gevent has patched first of all."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import pytest  # noqa: E402

if __name__ == "__main__":
    raise SystemExit(pytest.main(["-p", "no:xdist", "-p", "no:cacheprovider", *sys.argv[1:]]))
