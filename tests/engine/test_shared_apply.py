"""Plans that share a commit: those of one run are written one after another."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from inngest_py.domain.errors import LeaseLost
from inngest_py.domain.reply.read import Reply
from inngest_py.engine.runtime.group_commit import Committer
from inngest_py.engine.work import apply as applying
from inngest_py.engine.work import claims, run_item
from inngest_py.engine.work import writes as planned
from inngest_py.engine.work.handlers.request import send_request
from inngest_py.storage.db.session import Database
from inngest_py.storage.queue import claiming, leases
from tests.engine.harness import Engine, parallel, sequence
from tests.factories import step

BRANCHES = [f"s{n}" for n in range(8)]


def test_parallel_steps_in_one_commit_lead_to_one_discovery(db: Database) -> None:
    engine = Engine(db, _together(parallel(*BRANCHES), len(BRANCHES)))
    run_id = engine.start()
    _, start = engine.hinted.hints.pop()
    engine.ctx.committer = Committer(db)
    run_item.work(engine.ctx, [start])
    threads = [
        threading.Thread(target=run_item.work, args=(engine.ctx, [item]))
        for _, item in engine.hinted.hints
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert engine.run(run_id)["status"] == "completed"
    assert sorted(engine.memo(run_id)) == sorted(step(name) for name in BRANCHES)
    discoveries = [r for r in engine.sdk.requests if len(r["steps"]) == len(BRANCHES)]
    assert len(discoveries) == 1
    assert discoveries[0]["ctx"]["stack"]["current"] == len(BRANCHES)


def _together(script: Any, branches: int) -> Any:
    """Make targeted requests end at the same moment, so that their writes share a commit."""
    barrier = threading.Barrier(branches - 1)

    def answer(request: dict[str, Any], target: str) -> Reply:
        if target != "step" and request["ctx"]["attempt"] == 0 and target != step(BRANCHES[0]):
            barrier.wait(20)
        reply: Reply = script(request, target)
        return reply

    return answer


def test_a_lost_lease_voids_the_shared_transaction(db: Database) -> None:
    engine = Engine(db, sequence("a", "b"))
    jobs = []
    for _ in range(2):
        engine.start()
        [(_, item_id)] = engine.hinted.hints[-1:]
        jobs += claims.claim(engine.ctx, [item_id])
    writes = []
    for job in jobs:
        made, call = send_request(engine.ctx, job)
        writes.append(planned.PlanWrite(engine.ctx, job.run, job.item, made, call, wants_next=True))
    with db.transaction() as tx:
        leases.release(tx, "w1", engine.now)
        claiming.claim(
            tx,
            [jobs[0].item.id],
            lease_id=jobs[0].item.lease_id,
            now=engine.now,
            lease=engine.ctx.tuning.lease,
            worker="w1",
        )
    with pytest.raises(LeaseLost), db.transaction() as tx:
        applying.apply_all(tx, writes)
    assert all(engine.memo(job.run.id) == {} for job in jobs)


def test_same_result_in_two_writes_of_a_commit_is_stored_once(db: Database) -> None:
    engine = Engine(db, parallel("a", "b", "c"))
    run_id = engine.start()
    [planning] = _made(engine, [engine.hinted.hints[0][1]])
    with db.transaction() as tx:
        applying.apply_all(tx, [planning])
    writes = _made(engine, [item.id for item in engine.queued(run_id)])
    writes[1].plan = replace(writes[1].plan, results=writes[0].plan.results)
    with db.transaction() as tx:
        done = applying.apply_all(tx, writes)
    assert [len(one.stored) for one in done] == [1, 0, 1]
    assert len(engine.memo(run_id)) == engine.run(run_id)["step_count"] == 2


def _made(engine: Engine, item_ids: list[str]) -> list[planned.PlanWrite]:
    """Claim items and make their requests, up to the write."""
    made = []
    for job in claims.claim(engine.ctx, item_ids):
        plan, call = send_request(engine.ctx, job)
        made.append(planned.PlanWrite(engine.ctx, job.run, job.item, plan, call, wants_next=False))
    return made
