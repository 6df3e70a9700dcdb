"""The way of a queue item, from a hint to the commit of its results.

1. A hint names items that are due. It comes as a Celery message (tasks/items.py) or, while the
   broker is away, straight from upkeep (tasks/worker/without_broker.py).
2. `claims.claim()` leases the items that are ready, in a shared commit, and reads what their next
   requests need: the run, its event, its function, the results of its steps. An embedded server
   with free slots claims in the transaction that stores the items (`claims.claim_stored()`).
3. `run_item.run_job()` takes each item. One that belongs to no run goes to
   `resume_waits_paged.run_fanout()`, `cancel_on_event.run_cancellation()` or
   `flow_timers.run_timer()`.
4. For an item of a run, the handler of its kind does the work. A request is written by
   `domain.reply.request`, signed and sent (runtime/signed_requests.py, transport/). No database
   connection is held meanwhile; the heartbeat (upkeep/lease_keeping.py) keeps the lease.
5. `domain.reply.decide.plan()` says what the answer means, as a `Plan`. It is pure.
6. `group_commit.Committer.run()` joins the plan with those of other runs into one transaction,
   which `apply.apply_all()` writes. Its functions stand in the order of their rows: the run and the
   results of steps (`_advance`), waits that time out (`_close`), attempts, the end of the run
   (`_finish`, `end_run.end_runs()`), the items that follow (`_follow`, `writes.item_row()`), and
   last the runs and waits that published events start or end (`intake.publish.Outbox`). A plan
   enters only modules that have something to write for it.
7. After the commit, `signals.committed()` sends hints, and signals to logs, metrics and traces.
8. If the run's next item is due at once, this worker holds its lease already, and
   `run_item._continue_in_place()` continues with it, for ten seconds at most.

An item of a Celery app's run has another way: its task is sent, many in one batch, and a worker
takes its answer later (celery_tasks/). What the answer means is a plan again, written as in 6.

A failure on the way is a failed attempt. If not even that can be written, the lease lapses, and
upkeep gives the item to another worker. A write whose lease is lost, or whose run has ended, is
rolled back.
"""
