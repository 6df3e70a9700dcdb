"""Metadata as the APIs show it: with the estimated cost of a language model's call."""

from sqlalchemy import RowMapping

from ..ai_prices import load
from ..domain.reports import ai_costs
from ..domain.values import canonical
from ..domain.values.json_types import JsonObject
from .deps import deps


def content(row: RowMapping) -> str:
    """Write an entry's values as JSON text."""
    if row["kind"] != ai_costs.KIND:
        return str(row["content"])
    values: JsonObject = canonical.loads(row["content"])
    return canonical.dumps(ai_costs.with_cost(values, load(deps().settings.ai_prices))).decode()
