"""A step's result as JSON."""

import json

from .. import json_values


def dumps(value: object, step_id: str) -> str:
    """Write the result. Raises NotJson, which names the step and the place of what is not JSON."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        json_values.check_result(step_id, value)
        raise
