"""`connections`: list connected workers, and drain one, through the REST API."""

from typing import TypedDict
from urllib.parse import quote

import click

from .client import call, url_option


class _App(TypedDict):
    id: str
    name: str | None


class _Shown(TypedDict):
    id: str
    instance: str
    status: str
    apps: list[_App]
    in_flight: int
    capacity: int
    sdk: str
    connected_at: str


@click.group()
def connections() -> None:
    """Look at connected workers; drain one before it stops."""


@connections.command("list")
@click.option("--app", help="Only the workers of this app.")
@click.option("--gone", is_flag=True, help="Also those that went away in the last minutes.")
@url_option
def list_(app: str | None, gone: bool, url: str) -> None:
    """List workers: id, worker, status, calls, apps, SDK, since when."""
    query = {"gone": str(gone).lower()} | ({} if app is None else {"app": app})
    for one in call("GET", f"{url}/api/v1/connections", params=query)["data"]:
        click.echo(_line(one))


def _line(one: _Shown) -> str:
    apps = ", ".join(app["name"] or app["id"] for app in one["apps"])
    calls = f"{one['in_flight']}/{one['capacity']}"
    left = f"{one['id']}  {one['instance']:<24}  {one['status']:<10}  {calls:>9}"
    return f"{left}  {apps}  {one['sdk']}  {one['connected_at']}"


@connections.command()
@click.argument("connection")
@url_option
def drain(connection: str, url: str) -> None:
    """Let a worker end what it has, and get no more; named by its connection's id."""
    _act(url, connection, "drain")


@connections.command()
@click.argument("connection")
@url_option
def resume(connection: str, url: str) -> None:
    """Let a drained worker get work again."""
    _act(url, connection, "resume")


def _act(url: str, connection: str, what: str) -> None:
    path = f"{url}/api/v1/connections/{quote(connection, safe='')}/{what}"
    one = call("POST", path)["data"]
    word = "is drained: it gets no more" if what == "drain" else "gets work again"
    click.echo(f"{one['instance']} {word}; {one['in_flight']} in flight")
