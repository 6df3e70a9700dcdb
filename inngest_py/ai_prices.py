"""The price list of AI models: the package's own, or the file that a setting names."""

import tomllib
from functools import lru_cache
from pathlib import Path

from .domain.errors import Invalid
from .domain.reports.ai_costs import Prices, parse

OWN = Path(__file__).with_name("ai_prices.toml")


@lru_cache(maxsize=4)
def load(file: str | None) -> Prices:
    """Read a price list in TOML, once per process; None is the package's own. Raises Invalid."""
    path = OWN if file is None else Path(file)
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise Invalid(f"the prices in {path} cannot be read: {error}") from None
    except Invalid as error:
        raise Invalid(f"the prices in {path}: {error.message}", field=error.field) from None
