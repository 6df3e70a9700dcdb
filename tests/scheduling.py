"""Which tests run in one process: those of a file, and those that share servers and apps.

And in which order: tests that wait and tests that compute run at the same time.
"""

from collections.abc import Iterable
from itertools import chain, zip_longest

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

# They use conftest.py's apps of every SDK, which took a third of these files' time to set up.
OF_EVERY_SDK = tuple(
    f"tests/sdk/test_{name}.py"
    for name in ("scenarios", "traces", "waits", "reruns", "scenarios_replayed")
)
_INSTALLATIONS = ("embedded", "several")
# Over two minutes each: they begin first, so that none of them is alone at the end.
LONGEST = (
    "tests/sdk/test_connect.py",
    *_INSTALLATIONS,
    "tests/gevent/",
    "tests/acceptance/test_celery_apps.py",
    "tests/acceptance/test_celery_deadlines.py",
    "tests/acceptance/test_broker_away.py",
)
# They mostly wait, for processes, timers and retries, and have few and long files.
_WAITING = ("tests/acceptance/", "tests/gevent/", "tests/sdk/", *_INSTALLATIONS)


def group(nodeid: str) -> str:
    """Name the group of a test: its file, or its installation where apps are shared."""
    file, _, test = nodeid.partition("::")
    if file not in OF_EVERY_SDK:
        return file
    return next((name for name in _INSTALLATIONS if f"-{name}" in test), file)


def mixed(groups: Iterable[str]) -> list[str]:
    """Alternate groups of tests that wait with groups that compute, while there are both.

    So several that wait share two cores with those that compute, and none is long of the last ones.
    """
    groups = sorted(groups, key=lambda name: not name.startswith(LONGEST))
    waiting: list[str] = []
    computing: list[str] = []
    for name in groups:
        (waiting if name.startswith(_WAITING) else computing).append(name)
    return [name for name in chain(*zip_longest(waiting, computing)) if name is not None]


class SharedScheduling(LoadFileScheduling):
    """Load scheduling by file that keeps tests of shared servers together."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

    def _reschedule(self, node: WorkerController) -> None:
        """Give a worker more, unless it has replaced a crashed one and still collects.

        It is asked for again when it has collected. xdist's own method would end the whole run.
        """
        if node in self.registered_collections:
            super()._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Take the tests of a worker that is gone back; return the one that crashed it.

        That one has failed. xdist's own method would give it to the next worker, and the next,
        until it gives up and leaves the rest of the suite undone.
        """
        workload = self.assigned_work.pop(node)
        left = {scope: tests for scope, tests in workload.items() if not all(tests.values())}
        crashed = next(
            (test for tests in left.values() for test, done in tests.items() if not done), None
        )
        for scope, tests in left.items():
            if crashed in tests:
                tests[crashed] = True
            # a unit without tests would keep its worker waiting for ever
            if not all(tests.values()):
                self.workqueue[scope] = tests
        if left:
            for other in self.assigned_work:
                self._reschedule(other)
        return crashed
