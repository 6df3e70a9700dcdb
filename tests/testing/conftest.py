"""The shop is served in each test that does not say otherwise."""

from typing import Any

import pytest

from .shop import Shop, flask_shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def inngest_app(shop: Shop) -> Any:
    return flask_shop(shop)
