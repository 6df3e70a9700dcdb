"""`alerts`: what is wrong now, and who is told of it, through the REST API."""

import json
from typing import TypedDict
from urllib.parse import quote

import click

from ..domain.alerts.receivers import ReceiverKind
from ..domain.alerts.rules import AlertKind
from .client import call, url_option


class _Receiver(TypedDict):
    id: str
    name: str
    kind: str
    target: str
    alerts: list[str]
    error: str | None


@click.group()
def alerts() -> None:
    """See what is wrong now; say who is told of it."""


@alerts.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@url_option
def list_(as_json: bool, url: str) -> None:
    """List the alerts that are firing: since when, and what is wrong."""
    found = call("GET", f"{url}/v1/alerts")["data"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        click.echo(f"{one['told_at']}  {one['text']}")
    if not found:
        click.echo("nothing is wrong")


@alerts.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@url_option
def receivers(as_json: bool, url: str) -> None:
    """List the receivers: id, name, kind, where, and what is wrong with it."""
    found = call("GET", f"{url}/v1/alerts/receivers")["data"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        click.echo(_line(one))


def _line(one: _Receiver) -> str:
    wanted = ",".join(one["alerts"]) or "all"
    left = f"{one['id']}  {one['name']:<20}  {one['kind']:<9}  {one['target']:<24}  {wanted}"
    return left if one["error"] is None else f"{left}  FAILED: {one['error']}"


@alerts.command()
@click.argument("name")
@click.argument("target")
@click.option(
    "--kind", type=click.Choice([*map(str, ReceiverKind)]), default=ReceiverKind.WEBHOOK.value
)
@click.option(
    "--alert",
    "wanted",
    multiple=True,
    type=click.Choice([*map(str, AlertKind)]),
    help="Only this kind; repeatable.",
)
@url_option
def add(name: str, target: str, kind: str, wanted: tuple[str, ...], url: str) -> None:
    """Add a receiver: a URL, addresses for e-mail, or the integration key of PagerDuty."""
    body = {"name": name, "kind": kind, "target": target, "alerts": list(wanted)}
    one = call("POST", f"{url}/v1/alerts/receivers", json=body)["data"]
    click.echo(f"{one['id']} is added; try it: inngest-py alerts test {one['id']}")


@alerts.command()
@click.argument("receiver")
@url_option
def remove(receiver: str, url: str) -> None:
    """Remove a receiver, named by its id."""
    call("DELETE", _path(url, receiver))
    click.echo("removed")


@alerts.command()
@click.argument("receiver")
@url_option
def test(receiver: str, url: str) -> None:
    """Send a test to a receiver, named by its id; fails if it is not accepted."""
    tried = call("POST", f"{_path(url, receiver)}/test")["data"]
    if not tried["accepted"]:
        raise click.ClickException(f"the receiver did not accept the test: {tried['problem']}")
    click.echo("the receiver accepted the test")


def _path(url: str, receiver: str) -> str:
    return f"{url}/v1/alerts/receivers/{quote(receiver, safe='')}"
