"""`celery_apps:` in the config file: what it says is read, and what is wrong is named."""

import re
from pathlib import Path
from typing import Any

import pytest

from inngest_py.config_reading import load, read, to_environment
from inngest_py.domain.errors import Invalid
from tests.processes import ROOT

GOOD = """
celery_apps:
  shop:
    broker: redis://:${SHOP_PASSWORD}@host:6379/0
    queue: shop
    options: {visibility_timeout: 3600, sentinel_kwargs: {password: "${SHOP_PASSWORD}"}}
    tasks:
      shop.charge:
        on:
          - {event: shop/order.placed, if: event.data.total > 0}
          - cron: TZ=Europe/Paris 0 6 * * *
        args: "[event.data.order]"
        concurrency: {limit: 2, key: event.data.order}
      shop.report:
  other:
    broker: amqp://guest@host//
"""
_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHOWN = [
    *_BLOCK.findall((ROOT / "docs" / "celery.md").read_text()),
    (ROOT / "examples" / "celery-shop" / "inngest.yaml").read_text(),
]
ENVIRON = {"SHOP_PASSWORD": "hidden-word"}


def _written(folder: Path, text: str, name: str = "inngest.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def test_file_declares_apps_and_settings_of_tasks(tmp_path: Path) -> None:
    file = _written(tmp_path, GOOD)
    settings = load({}, ENVIRON, file)
    assert settings.errors() == []
    shop, other = settings.declared_celery_apps
    assert (shop.name, shop.file, shop.queue) == ("shop", str(file), "shop")
    assert shop.broker_url == "redis://:hidden-word@host:6379/0"
    assert shop.options["sentinel_kwargs"] == {"password": "hidden-word"}
    assert shop.tasks["shop.report"] == {}
    assert shop.tasks["shop.charge"]["on"][0] == {
        "event": "shop/order.placed",
        "if": "event.data.total > 0",
    }
    assert (other.name, other.queue) == ("other", "celery")
    assert "hidden-word" not in repr(settings)
    assert "hidden-word" not in str(to_environment(settings))


def test_toml_declares_them_too(tmp_path: Path) -> None:
    text = '[celery_apps.shop]\nbroker = "redis://h"\n[celery_apps.shop.tasks."shop.charge"]\n'
    file = _written(tmp_path, f'{text}on = [{{event = "a/x"}}]\nretries = 3', "inngest.toml")
    [shop] = load({}, {}, file).declared_celery_apps
    assert shop.tasks == {"shop.charge": {"on": [{"event": "a/x"}], "retries": 3}}


def test_flag_may_name_the_broker(tmp_path: Path) -> None:
    file = _written(tmp_path, "celery_apps: {shop: {tasks: {shop.charge: {retries: 3}}}}")
    named: dict[str, Any] = {"celery_apps": ("shop=redis://host",)}
    assert load(named, {}, file).errors() == []
    [error] = load({}, {}, file).errors()
    assert error.startswith(f"{file}: celery_apps.shop.broker is missing: write its URL, or ${{")


APP = "celery_apps: {shop: {broker: 'redis://h', "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("celery_apps: {shop: 5}", "celery_apps.shop must be an object, not a number"),
        ("celery_apps: {shop: {url: x}}", "celery_apps.shop.url is not known here: only broker"),
        ("celery_apps: {a/b: {}}", "celery_apps.a/b must have 1 to 100 letters, digits"),
        ("celery_apps: {shop: {broker: 'http://:hidden-word@h'}}", "celery_apps.shop.broker must"),
        (
            "celery_apps: {shop: {broker: '${NO}'}}",
            "celery_apps.shop.broker names the variable 'NO'",
        ),
        (APP + "options: {password: '${NO}'}}}", "celery_apps.shop.options.password names the var"),
        (APP + "queue: [a]}}", "celery_apps.shop.queue must be a string, not an array"),
        (APP + "tasks: [a]}}", "celery_apps.shop.tasks must be an object, not an array"),
        (
            APP + "tasks: {celery.ping: {}}}}",
            "celery_apps.shop.tasks[celery.ping] is one of Celery",
        ),
        (
            APP + "tasks: {t: {retrys: 1}}}}",
            "celery_apps.shop.tasks[t].retrys is not known here: did",
        ),
        (
            APP + "tasks: {t: {throttle: {limit: 1, period: 60}}}}}",
            "celery_apps.shop.tasks[t].throttle.period must be a text with a unit",
        ),
        (
            APP + "tasks: {t: {on: [{event: a, args: [x]}]}}}}",
            "celery_apps.shop.tasks[t].on[0].args",
        ),
        (
            "celery_apps:\n  shop:\n  shop:\n",
            "not valid: a key is there twice: remove one in line 3",
        ),
    ],
)
def test_what_is_wrong_is_named_with_file_path_and_fix(
    tmp_path: Path, text: str, message: str
) -> None:
    file = _written(tmp_path, text)
    with pytest.raises(Invalid) as refused:
        load({}, {}, file)
    assert refused.value.message.startswith(f"{file}: {message}")
    assert "hidden-word" not in refused.value.message


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    tasks = "{a: {retries: 99}, b: {queue: ''}, c: {timeout: 5}}"
    file = _written(tmp_path, f"{APP}tasks: {tasks}}}, other: {{broker: 5}}}}\nprot: 1")
    _, errors = read({}, {}, file)
    assert [error.removeprefix(f"{file}: ").partition(" ")[0] for error in errors] == [
        "celery_apps.shop.tasks[a].retries",
        "celery_apps.shop.tasks[c].timeout",
        "celery_apps.other.broker",
        "'prot'",
    ]


@pytest.mark.parametrize("word", ["off", "no", "false", "False"])
def test_words_of_yaml_1_1_still_switch_settings(tmp_path: Path, word: str) -> None:
    assert load({}, {}, _written(tmp_path, f"ui: {word}")).ui is False


@pytest.mark.parametrize("text", SHOWN)
def test_files_of_the_documents_are_read(tmp_path: Path, text: str) -> None:
    settings = load({}, {"SHOP_BROKER": "redis://host"}, _written(tmp_path, text))
    assert settings.errors() == []
    [shop] = settings.declared_celery_apps
    assert shop.tasks or shop.workflows


def test_the_documents_show_files() -> None:
    assert len(SHOWN) >= 2
