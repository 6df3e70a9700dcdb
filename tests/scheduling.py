"""Which tests run in one process: those of a file, and those that share servers and apps."""

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

# They use conftest.py's apps of every SDK, which took a third of these files' time to set up.
_OF_EVERY_SDK = tuple(f"tests/sdk/test_{name}.py" for name in ("scenarios", "traces", "waits"))
_INSTALLATIONS = ("embedded", "several")


def group(nodeid: str) -> str:
    """Name the group of a test: its file, or its installation where apps are shared."""
    file, _, test = nodeid.partition("::")
    if file not in _OF_EVERY_SDK:
        return file
    return next((name for name in _INSTALLATIONS if f"-{name}" in test), file)


class SharedScheduling(LoadFileScheduling):
    """Load scheduling by file that keeps tests of shared servers together."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

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
