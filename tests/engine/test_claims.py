"""Many claims of the same items by real threads: one wins."""

import threading
from collections import Counter

from inngest_py.engine import start
from inngest_py.engine.work import claim
from inngest_py.storage.session import Database
from tests.engine.harness import Engine, sequence

THREADS = 4


def claimed(engine: Engine, feeds: list[list[str]]) -> Counter[str]:
    """Claim each feed's ids one by one, all feeds at once; count the wins of each id."""
    won: Counter[str] = Counter()
    lock, begin = threading.Lock(), threading.Barrier(len(feeds))

    def feed(ids: list[str]) -> None:
        begin.wait()
        for item_id in ids:
            jobs = claim(engine.ctx, [item_id])
            with lock:
                won.update(job.item.id for job in jobs)

    threads = [threading.Thread(target=feed, args=(ids,)) for ids in feeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return won


def test_one_item_fed_a_thousand_times_is_claimed_once(db: Database) -> None:
    engine = Engine(db, sequence())
    engine.start()
    ((_, item_id),) = engine.hinted.hints
    won = claimed(engine, [[item_id] * 250 for _ in range(THREADS)])
    assert won == {item_id: 1}


def test_every_item_goes_to_one_of_those_who_want_it(db: Database) -> None:
    engine = Engine(db, sequence())
    start.accept(engine.ctx, [engine.event() for _ in range(100)])
    ids = [item_id for _, item_id in engine.hinted.hints]
    won = claimed(engine, [ids for _ in range(THREADS)])
    assert won == dict.fromkeys(ids, 1)
