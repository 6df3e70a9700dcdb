"""The filters that choose runs: the same in lists, in operations and on the dashboard's page."""

from collections.abc import Callable
from datetime import UTC, datetime

import click

from ...domain.errors import Invalid
from ...domain.values import durations
from ...domain.values.json_types import JsonObject
from ..client import pairs
from ..completion import names

since_option = click.option(
    "--since", help="From this time on: 2026-11-30T02:14Z, or 2h for 2 h ago."
)
until_option = click.option("--until", help="Before this time, in the same forms.")
_FILTERS = (
    click.option("--status", multiple=True, help="A status, or a phase such as sleeping."),
    click.option("--function", shell_complete=names.functions, help="A slug or an id."),
    click.option("--app", shell_complete=names.apps, help="An app's name."),
    since_option,
    until_option,
    click.option("--event", help="A name, or shop/*."),
    click.option("--text", help="The run, its event, output or errors contain it."),
    click.option("--cel", help="An expression over event, output and error."),
    click.option("--error", help="The id of an error: its runs that are still failed."),
    click.option("--key", multiple=True, help="A search key: order_id=A-1001."),
)


def filters(command: Callable[..., None]) -> Callable[..., None]:
    """Add the filters to a command; selection() reads them."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def selection(given: dict[str, object]) -> JsonObject:
    """Take the filters out of a command's options: what is given of them, as operations take it."""
    status, key = given.pop("status"), given.pop("key")
    found: JsonObject = {"status": list(status)} if isinstance(status, tuple) and status else {}
    for name in ("function", "app", "since", "until", "event", "text", "cel", "error"):
        value = given.pop(name)
        if isinstance(value, str) and value:
            found[name] = moment(value) if name in ("since", "until") else value
    return found | ({"keys": pairs(key)} if isinstance(key, tuple) and key else {})


def moment(text: str) -> str:
    """Read a time, or a duration that ends now; the server checks a time."""
    try:
        return (datetime.now(UTC) - durations.to_timedelta(text)).isoformat()
    except (Invalid, OverflowError):
        return text
