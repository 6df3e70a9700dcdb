"""Many claims of the same items by real threads: one wins."""

import threading
from collections import Counter
from datetime import timedelta

import pytest

from inngest_py.engine.intake import publish
from inngest_py.engine.runtime.group_commit import Committer
from inngest_py.engine.work import claims
from inngest_py.engine.work.claims import claim
from inngest_py.storage.db.session import Database
from inngest_py.storage.queue import backlog
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


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
def test_every_item_goes_to_one_of_its_claims(db: Database, shared: bool) -> None:
    engine = Engine(db, sequence())
    engine.ctx.committer = Committer(db, shared=shared)
    publish.accept(engine.ctx, [engine.event() for _ in range(100)])
    ids = [item_id for _, item_id in engine.hinted.hints]
    won = claimed(engine, [ids for _ in range(THREADS)])
    assert won == dict.fromkeys(ids, 1)


def test_claims_that_share_a_commit_get_what_they_named(db: Database) -> None:
    engine = Engine(db, sequence())
    publish.accept(engine.ctx, [engine.event() for _ in range(4)])
    a, b, c, d = [item_id for _, item_id in engine.hinted.hints]
    wanted = [claims.ClaimRequest(engine.ctx, ids) for ids in ([a, b], [b, c], ["gone"], [d])]
    with db.transaction() as tx:
        taken = claims.claim_all(tx, wanted)
    assert [[job.item.id for job in one.jobs] for one in taken] == [[a, b], [c], [], [d]]


def test_no_more_are_due_than_asked_for(db: Database) -> None:
    engine = Engine(db, sequence())
    publish.accept(engine.ctx, [engine.event() for _ in range(40)])
    later = engine.now + timedelta(minutes=1)
    with db.transaction() as tx:
        assert len(backlog.due(tx, later, 3, again_at=later + timedelta(minutes=1))) == 3
