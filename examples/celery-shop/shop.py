"""A Celery app as shops have them: it imports nothing of the server."""

import os
import random
import time

from celery import Celery, Task

app = Celery("shop", broker=os.environ.get("SHOP_BROKER", "redis://127.0.0.1:6379/0"))


@app.task
def reserve(order: str, items: list[str]) -> dict[str, object]:
    """Reserve what was ordered."""
    return {"order": order, "items": items}


@app.task(bind=True, autoretry_for=(ConnectionError,), retry_backoff=1, max_retries=5)
def charge(self: Task, order: str, amount: int = 0) -> dict[str, object]:
    """Charge a card; the bank answers at the third try."""
    if self.request.retries < 2:
        raise ConnectionError("the bank does not answer")
    return {"order": order, "paid": amount}


@app.task
def pack(reserved: dict[str, object], item: str) -> str:
    """Pack one item."""
    time.sleep(0.2)
    return f"{item} of {reserved['order']}"


@app.task
def ship(parcels: list[str]) -> dict[str, object]:
    """Ship all parcels together."""
    return {"parcels": parcels, "label": f"label-{len(parcels)}"}


@app.task
def notify(shipped: dict[str, object], address: str) -> str:
    """Tell the customer."""
    return f"{shipped['label']} is on its way to {address}"


@app.task
def report() -> dict[str, int]:
    """Count yesterday's orders."""
    return {"orders": random.randint(1, 100)}
