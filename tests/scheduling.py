"""Which tests run in one process: those of a file, and those that share servers and apps."""

from xdist.scheduler import LoadFileScheduling

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
