"""`events` and `send`: list, look at and send events, through the REST API."""

from typing import TypedDict
from urllib.parse import quote

import click

from ..client import as_json_option, call, every_page, print_json, url_option
from ..runs.filters import moment, since_option, until_option
from .sending import send

_PAGE = 100  # the most that one request lists


class _Event(TypedDict):
    internal_id: str
    id: str
    name: str
    received_at: str
    data: dict[str, object]


class _RunOfEvent(TypedDict):
    run_id: str
    status: str
    function_id: str


@click.group()
def events() -> None:
    """Look at events; send them."""


@events.command("list")
@click.option("--name", help="A name, or shop/*.")
@since_option
@until_option
@click.option("--text", help="The event contains it.")
@click.option("--cel", help="An expression over event.")
@click.option("--internal", is_flag=True, help="Also the server's own events.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@as_json_option
@url_option
def list_(limit: int, as_json: bool, url: str, **given: str | bool | None) -> None:
    """List the events that were sent, newest first: id, when it came, name."""
    query: dict[str, object] = {name: value for name, value in given.items() if value}
    for name in ("since", "until"):
        if name in query:
            query[name] = moment(str(query[name]))
    found: list[_Event] = every_page(f"{url}/api/v1/events", query, limit, _PAGE)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no events", err=True)
    for one in found:
        click.echo(f"{one['internal_id']}  {one['received_at']}  {one['name']}")


@events.command()
@click.argument("event_id", metavar="EVENT")
@as_json_option
@url_option
def show(event_id: str, as_json: bool, url: str) -> None:
    """Show an EVENT, by the id that the server gave it, with the runs that it started."""
    path = f"{url}/v1/events/{quote(event_id, safe='')}"
    event: _Event = call("GET", path)["data"]
    runs: list[_RunOfEvent] = call("GET", f"{path}/runs")["data"]
    if as_json:
        print_json({**event, "runs": runs})
        return
    click.echo(f"{event['internal_id']}  {event['received_at']}  {event['name']}")
    print_json(event["data"])
    for run in runs:
        click.echo(f"run {run['run_id']}  {run['status'].lower()}")


events.add_command(send)
