"""A Celery app as shops have them; it knows nothing of this server. Effects go to a file.

Tests import it for its signatures. So its tasks are not shared with other apps of the process, as
Celery would do by default.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from celery import Celery, Task

app = Celery("shop", broker=os.environ.get("SHOP_BROKER", "memory://"), set_as_current=False)
app.conf.task_default_queue = "shop"


def _effect(text: str) -> None:
    """Note that a task ran; one write of a short line is not torn."""
    if path := os.environ.get("SHOP_EFFECTS"):
        with Path(path).open("a") as file:
            file.write(f"{text}\n")


@app.task(name="shop.add", shared=False)
def add(a: int, b: int) -> int:
    return a + b


@app.task(name="shop.total", shared=False)
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="shop.charge", shared=False)
def charge(order: str, amount: int = 0) -> dict[str, object]:
    return {"order": order, "paid": amount}


@app.task(name="shop.refuse", shared=False)
def refuse(text: str) -> None:
    raise ValueError(text)


@app.task(name="shop.retrying", shared=False, bind=True, max_retries=2)
def retrying(self: object, key: str) -> int:
    """Succeed at the third try, by Celery's own retries."""
    _effect(f"retrying {key}")
    tries: int = self.request.retries  # type: ignore[attr-defined]
    if tries < 2:
        raise self.retry(countdown=0)  # type: ignore[attr-defined]
    return tries


@app.task(name="shop.when", shared=False)
def when() -> datetime:
    return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@app.task(name="shop.year_of", shared=False)
def year_of(moment: datetime) -> int:
    return moment.year


@app.task(name="shop.unserializable", shared=False)
def unserializable() -> set[int]:
    return {1}


@app.task(name="shop.nap", shared=False)
def nap(seconds: float, key: str = "") -> str:
    _effect(f"begin {key}")
    time.sleep(seconds)
    _effect(f"end {key}")
    return key


@app.task(name="shop.hold", shared=False)
def hold(key: str) -> str:
    """Run until a file says so, beside that of the effects; for a minute at most."""
    _effect(f"begin {key}")
    release = Path(os.environ["SHOP_EFFECTS"]).with_name(f"release-{key}")
    until = time.time() + 60
    while not release.exists() and time.time() < until:
        time.sleep(0.02)
    _effect(f"end {key}")
    return key


@app.task(name="shop.wait_for", shared=False)
def wait_for(path: str) -> None:
    """Run until a file is there; ten minutes at most."""
    until = time.monotonic() + 600
    while not Path(path).exists() and time.monotonic() < until:
        time.sleep(0.05)


@app.task(name="shop.note_and_fail", shared=False)
def note_and_fail(key: str) -> None:
    """Note that it ran, and fail."""
    _effect(key)
    raise ValueError(key)


@app.task(name="shop.note", shared=False)
def note(value: object, key: str) -> object:
    """Note that it ran, and hand its value on."""
    _effect(key)
    return value


@app.task(name="shop.stamp", shared=False, bind=True)
def stamp(self: Task, value: object, key: str) -> object:
    """Note that it ran, when, and under which task id, and hand its value on."""
    _effect(f"{key} {time.time()} {self.request.id}")
    return value


@app.task(name="shop.context", shared=False, bind=True)
def context(self: Task) -> dict[str, object]:
    """Return what its message said beside its arguments."""
    told = self.request
    return {
        "tenant": told.get("tenant"),
        "id": told.id,
        "shadow": told.shadow,
        "stamps": told.stamps,
        "priority": told.delivery_info["priority"],
    }


@app.task(name="shop.refuse_at_length", shared=False)
def refuse_at_length() -> None:
    raise ValueError("two fields are wrong\n  order: is missing\nValueError: inside")
