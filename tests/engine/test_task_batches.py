"""Tasks of Celery apps that are due together are sent together."""

from typing import Any

import pytest
from celery import chain, group

from inngest_py.engine.work.celery_tasks import task_jobs
from inngest_py.engine.work.claims import claim
from inngest_py.storage.db.session import Database
from tests.engine.shop import Shop, add


def test_first_tasks_of_canvases_that_begin_together_are_one_batch(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, batches = Shop(db), list[int]()
    send = shop.brokers.send

    def counting(app: Any, messages: Any) -> None:
        batches.append(len(messages))
        send(app, messages)

    monkeypatch.setattr(shop.brokers, "send", counting)
    monkeypatch.setattr(shop, "drain", lambda: None)
    for number in range(3):
        shop.send(chain(add.s(number, 1), add.s(2)))
    shop.send(group(add.s(1, 1), add.s(2, 2)))
    hints, shop.hinted.hints = shop.hinted.hints, []
    jobs = claim(shop.ctx, [item_id for _, item_id in hints])
    task_jobs.run_together(shop.ctx, jobs)
    assert batches == [3, 1], "the first of the group is sent in place"
    monkeypatch.undo()
    shop.drain()
    sent = sorted(one.args for one in shop.take())
    assert sent == [[0, 1], [1, 1], [1, 1], [2, 1], [2, 2]]
