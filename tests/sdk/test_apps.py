"""The SDK apps on their own: each starts, introduces itself and counts its functions."""

from pathlib import Path

import pytest

from .app_process import KINDS, SdkApp

# the TypeScript SDK counts a failure handler as a function of its own, the Python SDK does not
_FUNCTIONS = {"python": 27, "ts": 30}


@pytest.mark.parametrize("kind", KINDS)
def test_app_answers(kind: str, tmp_path: Path) -> None:
    with SdkApp(kind, "http://127.0.0.1:9", tmp_path).start() as app:
        found = app.introduction()
        assert found is not None
        assert found["function_count"] == _FUNCTIONS[kind.split("-", maxsplit=1)[0]]
        assert (found["mode"], found["has_signing_key"]) == ("dev", False)
