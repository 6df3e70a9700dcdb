"""Code is loaded without a look for garbage, which is looked for again afterwards."""

import gc

import pytest

from inngest_py import loading
from inngest_py.cli import cli


def test_nothing_is_collected_while_code_is_loaded() -> None:
    assert gc.isenabled()
    with pytest.raises(KeyError), loading.without_collections():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_who_collects_nothing_is_left_alone() -> None:
    gc.disable()
    try:
        with loading.without_collections():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_commands_are_loaded_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bool] = []

    def load(name: str) -> object:
        found.append(gc.isenabled())
        return type("Module", (), {"send": name})

    monkeypatch.setattr("inngest_py.cli.lazy.import_module", load)
    cli.get_command(None, "send")  # type: ignore[arg-type]
    assert (found, gc.isenabled()) == ([False], True)
