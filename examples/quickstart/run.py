"""Start the server and the demo app together, say what to do next, and stop both on Ctrl-C."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from children import Children, alive, get, heed_signals, start, stop, wait, watch

# the variables that the server and app.py read themselves
SERVER = f"http://127.0.0.1:{os.environ.get('INNGEST_PORT', '8288')}"
APP = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/api/inngest"

_NEXT = f"""
The server is at {SERVER}, the demo app at {APP}. Send an event:

  curl -X POST {SERVER}/e/dev -H 'Content-Type: application/json' \\
    -d '{{"name": "shop/order.placed", "data": {{"order": "A-1"}}}}'

and watch its run (one step fails twice before it succeeds):

  {SERVER}/runs

Ctrl-C stops both.
"""

_NOT_YET = "\nThe demo app has not registered yet; the server keeps trying.\n"


def main() -> int:
    """Run both until one ends or somebody stops us; say how it went as an exit code."""
    heed_signals()
    env = {"INNGEST_DEV": SERVER}
    children: Children = []
    try:
        children.append(start(str(Path(__file__).with_name("app.py")), env=env))
        # the server would otherwise find nobody there and look again a while later
        wait(lambda: get(APP) is not None, children)
        # the default waits of 15 s and more before a retry would make a dull demo
        server = ("-m", "inngest_py", "dev", "-u", APP, "--retry-interval", "2")
        children.append(start(*server, env=env))
        registered = wait(_registered, children)
        if alive(children):
            print(_NEXT if registered else _NOT_YET + _NEXT, flush=True)
        return watch(children)
    except KeyboardInterrupt:
        return 0
    finally:
        stop(children)


def _registered() -> bool:
    return get(f"{SERVER}/v1/apps/quickstart/functions") not in (None, b"[]", b"[]\n")


if __name__ == "__main__":
    sys.exit(main())
