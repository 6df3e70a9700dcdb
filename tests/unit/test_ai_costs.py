"""The estimated cost of language models' calls, by a list of prices."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from inngest_py.ai_prices import OWN, load
from inngest_py.config import Settings
from inngest_py.domain.errors import Invalid
from inngest_py.domain.reports.ai_costs import Prices, parse, with_cost

GIVEN = {
    "as_of": date(2030, 1, 31),
    "models": {
        "small": {"input": 0.5, "output": 2},
        "small-pro": {"input": 5, "output": 20.0},
        "claude-x-4": {"input": 3, "output": 15},
    },
}
PRICES = parse(GIVEN)


@pytest.mark.parametrize(
    ("values", "cost"),
    [
        ({"model": "small", "input_tokens": 1000, "output_tokens": 500}, 0.0015),
        ({"model": "small", "input_tokens": 1, "output_tokens": 0}, 0.0000005),
        ({"model": "Small-2030-01-31", "prompt_tokens": 2000}, 0.001),
        ({"model": "small-latest", "completion_tokens": 1_000_000}, 2.0),
        ({"model": "small-pro-0131", "inputTokens": 1_000_000, "outputTokens": 1_000_000}, 25.0),
        ({"model": "openai/small", "input_tokens": 1_000_000}, 0.5),
        ({"model": "us.anthropic.claude-x-4-20300131-v1:0", "input_tokens": 0}, None),
        ({"model": "us.anthropic.claude-x-4-20300131", "output_tokens": 1_000_000}, 15.0),
        ({"model": "models/claude-x-4@20300131", "output_tokens": 2_000_000}, 30.0),
        ({"model": "small-mini", "input_tokens": 5}, None),
        ({"model": "smaller", "input_tokens": 5}, None),
        ({"model": "small"}, None),
        ({"model": "", "input_tokens": 5}, None),
        ({"model": 5, "input_tokens": 5}, None),
        ({"input_tokens": 5}, None),
        ({"model": "small", "input_tokens": -5}, None),
        ({"model": "small", "input_tokens": True}, None),
        ({"model": "small", "input_tokens": "5"}, None),
        ({"model": "small", "input_tokens": 1e308}, None),
        ({"model": "small" + "-2030" * 200, "input_tokens": 5}, None),
    ],
)
def test_a_cost_is_estimated_where_possible(values: dict[str, Any], cost: float | None) -> None:
    shown = with_cost(values, PRICES)
    assert shown == (values if cost is None else values | {"estimated_cost": cost})


def test_the_sdks_own_cost_stays() -> None:
    given = {"model": "small", "input_tokens": 1000, "estimated_cost": 7}
    assert with_cost(given, PRICES) == given


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], None),
        ({"models": {}}, "as_of"),
        ({"as_of": "yesterday", "models": {}}, "as_of"),
        ({**GIVEN, "models": []}, "models"),
        ({**GIVEN, "models": {"m": 5}}, "models.m"),
        ({**GIVEN, "models": {"m": {"input": 1}}}, "models.m.output"),
        ({**GIVEN, "models": {"m": {"input": -1, "output": 1}}}, "models.m.input"),
        ({**GIVEN, "models": {"m": {"input": True, "output": 1}}}, "models.m.input"),
        ({**GIVEN, "models": {"m": {"input": float("nan"), "output": 1}}}, "models.m.input"),
    ],
)
def test_a_bad_list_is_refused(given: object, field: str | None) -> None:
    with pytest.raises(Invalid) as caught:
        parse(given)
    assert caught.value.field == field


def test_the_package_has_a_dated_list() -> None:
    prices = load(None)
    assert prices == parse(tomllib.loads(OWN.read_text()))
    assert prices.as_of >= date(2025, 1, 1)
    price = prices.of("gpt-4o-2024-08-06")
    assert price == prices.of("gpt-4o") != prices.of("gpt-4o-mini")
    assert isinstance(prices, Prices)


def test_another_list_can_be_given(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text("as_of = 2030-01-31\n[models]\nown = {input = 1, output = 2}\n")
    assert Settings(dev=True, database_url="sqlite://", ai_prices=str(file)).errors() == []
    assert load(str(file)).of("own") is not None


@pytest.mark.parametrize("text", [None, "as_of = ", "as_of = 2030-01-31\nmodels = 5\n"])
def test_a_bad_file_is_reported_at_the_start(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "prices.toml"
    if text is not None:
        file.write_text(text)
    [error] = Settings(dev=True, database_url="sqlite://", ai_prices=str(file)).errors()
    assert str(file) in error
    assert "INNGEST_AI_PRICES" in error
