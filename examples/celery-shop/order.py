"""Send a canvas of the shop's own tasks as a durable run, and wait for its result."""

import sys

from celery import chain, group
from shop import notify, pack, reserve, ship

from inngest_py import canvas


def main() -> None:
    """Order three things."""
    items = ["cup", "pot", "tea"]
    order = chain(
        reserve.s("A-1", items), group(pack.s(item) for item in items), ship.s(), notify.s("Ann")
    )
    run = canvas.send(order)
    print(f"run {run.run_id}: {run.result(timeout=60)}")


if __name__ == "__main__":
    sys.exit(main())
