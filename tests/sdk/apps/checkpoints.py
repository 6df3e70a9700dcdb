"""Whether an app checkpoints its steps: CHECKPOINTS=1, for a run of these tests with it."""

import os
from typing import Any

import inngest_py.sdk


def chosen() -> list[Any]:
    """The client's middleware."""
    return [inngest_py.sdk.checkpointing()] if os.environ.get("CHECKPOINTS") else []
