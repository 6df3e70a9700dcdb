"""Functions' configurations as SDKs send them, and how they are read."""

from typing import Any

from inngest_py.domain.functions import function_config
from inngest_py.domain.functions.config_fields import Fields

URL = "http://localhost:3000/api/inngest?fnId=shop-charge&stepId=step"
STEP = {"id": "step", "name": "step", "runtime": {"type": "http", "url": URL}}
PLACE = "functions[0]"  # in a registration, as errors name it


def config(**given: Any) -> dict[str, Any]:
    """Make the least configuration of a function, with more or other keys."""
    return {"id": "shop-charge", "name": "Charge", "steps": {"step": STEP}} | given


def parse(**given: Any) -> function_config.FunctionConfig:
    """Read it; raises Invalid, as the product does."""
    return function_config.parse_config(Fields(config(**given), PLACE))


# null and an empty array are as good as no such key
ABSENT = [
    "triggers", "retries", "concurrency", "throttle", "rateLimit", "idempotency", "debounce",
    "batchEvents", "priority", "cancel", "timeouts", "singleton", "checkpoint", "checkpointing",
]  # fmt: skip
