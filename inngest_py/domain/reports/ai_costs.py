"""Estimate what calls of language models have cost, by a list of prices (protocol: api.md §5.5).

The list knows neither discounts nor what caches save. Costs are estimated when metadata is read,
so a corrected list also applies to metadata that was stored before.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ..errors import Invalid
from ..values.checks import kind
from ..values.json_types import JsonObject

KIND = "inngest.ai"
COST = "estimated_cost"
_MILLION = 1_000_000
_INPUT = ("input_tokens", "inputTokens", "prompt_tokens", "promptTokens")
_OUTPUT = ("output_tokens", "outputTokens", "completion_tokens", "completionTokens")
_MODEL = ("model", "response_model", "request_model")
# endings that leave a model's name the same model: dates, versions, "latest"
_VERSION = re.compile(r"(?:[-@:](?:\d{4,8}|\d{2}|\d{3}|v\d+|latest|preview|exp))*")
_MOST_NAME = 200  # characters of a model's name, as each beginning of it is looked up
_MOST_TOKENS = 2**53
_DIGITS = 12  # after the point: a token costs as little as a hundredth of a millionth


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price in US dollars per million tokens."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class Prices:
    """A list of prices by model, and the day on which they were right."""

    as_of: date
    models: Mapping[str, Price]

    def of(self, model: str) -> Price | None:
        """Find a model's price; None when unknown. The name may begin with a provider."""
        name = model.lower().rpartition("/")[2]
        if len(name) > _MOST_NAME:
            return None
        for start in (name, name.rpartition("anthropic.")[2]):
            for length in range(len(start), 0, -1):
                price = self.models.get(start[:length])
                if price is not None and _VERSION.fullmatch(start, length):
                    return price
        return None


def parse(given: object) -> Prices:
    """Check a list: `as_of`, a date, and `models`, by name. Raises Invalid with the field."""
    if not isinstance(given, dict):
        raise Invalid(f"the list of prices must be an object, not {kind(given)}")
    as_of, models = given.get("as_of"), given.get("models")
    if not isinstance(as_of, date):
        raise Invalid("as_of must be a date such as 2030-01-31", field="as_of")
    if not isinstance(models, dict):
        raise Invalid("models must hold a price for each model", field="models")
    return Prices(as_of, {str(name).lower(): _price(name, one) for name, one in models.items()})


def _price(name: str, given: object) -> Price:
    field = f"models.{name}"
    if not isinstance(given, dict):
        raise Invalid(f"{field} must hold input and output", field=field)
    return Price(*(_dollars(given.get(key), f"{field}.{key}") for key in ("input", "output")))


def _dollars(value: object, field: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MILLION:
        raise Invalid(f"{field} must be US dollars for a million tokens, 0 or more", field=field)
    return float(value)


def with_cost(values: JsonObject, prices: Prices) -> JsonObject:
    """Add the estimated cost in US dollars, if it is missing and can be estimated."""
    model = next((name for key in _MODEL if isinstance(name := values.get(key), str)), None)
    if values.get(COST) is not None or model is None:
        return values
    price = prices.of(model)
    given, made = _tokens(values, _INPUT), _tokens(values, _OUTPUT)
    if price is None or (given is None and made is None):
        return values
    cost = ((given or 0) * price.input + (made or 0) * price.output) / _MILLION
    return values | {COST: round(cost, _DIGITS)}


def _tokens(values: Mapping[str, object], keys: tuple[str, ...]) -> float | None:
    for key in keys:
        value = values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if 0 <= value <= _MOST_TOKENS:
            return value
    return None
