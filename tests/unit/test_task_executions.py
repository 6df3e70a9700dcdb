"""Executions of Celery tasks, made of the events of workers."""

from datetime import UTC, datetime, timedelta

from inngest_py.domain.steps.task_executions import MOST_NEW, MOST_NUMBER, Execution, Executions

RUN = "01J00000000000000000000000"
TASK = "01j00000000000000000000001-0"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def _event(second: int, **more: object) -> dict[str, object]:
    stamp = (BEGIN + timedelta(seconds=second)).timestamp()
    return {"timestamp": stamp, "hostname": "celery@x", "root_id": RUN.lower(), **more}


def _at(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)


def test_start_is_added_to_the_reception() -> None:
    found = Executions()
    found.note("task-received", TASK, _event(1))
    found.note("task-started", TASK, _event(3))
    assert found.take() == [Execution(RUN, TASK, 0, "celery@x", _at(1), _at(3))]
    assert found.take() == []


def test_each_retry_of_celerys_is_an_execution() -> None:
    found, error = Executions(), {"name": "ValueError", "message": "no"}
    found.note("task-received", TASK, _event(1))
    found.note("task-started", TASK, _event(2))
    found.retried(TASK, _event(3), error)
    found.note("task-received", TASK, _event(4, retries=1))
    found.note("task-started", TASK, _event(5))
    first, second = found.take()
    assert (first.number, first.retried, first.error) == (0, _at(3), error)
    assert (second.number, second.started, second.error) == (1, _at(5), None)


def test_retry_is_told_after_its_successor_was_received() -> None:
    found = Executions()
    found.note("task-received", TASK, _event(1))
    found.note("task-started", TASK, _event(2))
    found.note("task-received", TASK, _event(3, retries=1))
    found.retried(TASK, _event(3), {"message": "first"})
    found.note("task-started", TASK, _event(4))
    found.note("task-received", TASK, _event(5, retries=2))
    found.note("task-started", TASK, _event(6))
    found.retried(TASK, _event(5), {"message": "second"})
    shown = [(one.number, one.started, one.error) for one in found.take()]
    assert shown == [
        (0, _at(2), {"message": "first"}),
        (1, _at(4), {"message": "second"}),
        (2, _at(6), None),
    ]


def test_number_and_memory_are_bounded() -> None:
    found = Executions()
    found.note("task-received", TASK, _event(1, retries=10**9))
    assert [one.number for one in found.take()] == [MOST_NUMBER]
    found.note("task-succeeded", TASK, _event(2))
    found.note("task-started", TASK, _event(3))
    assert found.take() == []


def test_events_that_make_no_sense_are_passed_over() -> None:
    found = Executions()
    for wrong in ({"timestamp": None}, {"timestamp": 1e30}, {"root_id": None}, {"root_id": TASK}):
        found.note("task-received", TASK, _event(1) | wrong)
    found.note("task-started", TASK, _event(1))
    found.note("task-heard", TASK, _event(1))
    assert found.take() == []


def test_what_could_not_be_stored_is_taken_again_unless_newer() -> None:
    found = Executions()
    found.note("task-received", TASK, _event(1))
    taken = found.take()
    found.note("task-started", TASK, _event(2))
    found.give_back(taken)
    assert [one.started for one in found.take()] == [_at(2)]


def test_only_the_newest_tasks_of_silent_workers_are_asked_for() -> None:
    """Workers of gevent tell no ends: in time, all their tasks would be read at each look."""
    found = Executions()
    names = [f"{TASK[:-7]}{number:05}-0" for number in range(MOST_NEW + 1)]
    for name in names:
        found.note("task-received", name, _event(1))
    assert list(found.held()) == names[1:]
