"""`apps`: list, add, sync and archive apps through the REST API."""

from typing import TypedDict
from urllib.parse import quote

import click

from ..client import as_json_option, call, print_json, url_option
from ..completion import names
from ..lazy import lazy_group


class _App(TypedDict):
    id: str
    name: str
    url: str
    sdk: str
    method: str
    error: str | None
    error_detail: str | None
    down_since: str | None
    down_cause: str | None
    functions: int


@click.group(cls=lazy_group({"delete": f"{__package__}.deleting"}))
def apps() -> None:
    """Look at apps; add, sync and archive them; delete one with its history."""


@apps.command("list")
@as_json_option
@url_option
def list_(as_json: bool, url: str) -> None:
    """List the apps that are in use: name, functions, URL, and what is wrong with them."""
    found: list[_App] = call("GET", f"{url}/v1/apps")["data"]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no apps", err=True)
    for one in found:
        left = f"{one['name'] or one['id']:<32}  {_functions(one):<13}  {one['url']}"
        click.echo(f"{left}  {_wrong(one)}".rstrip())


def _functions(one: _App) -> str:
    return f"{one['functions']} function{'' if one['functions'] == 1 else 's'}"


def _wrong(one: _App) -> str:
    """Say what is wrong with an app; empty if nothing is."""
    if one["down_since"] is not None:
        return f"down since {one['down_since']}: {one['down_cause']}"
    if one["error"] is None:
        return ""
    return f"{one['error']}: {one['error_detail']}" if one["error_detail"] else one["error"]


@apps.command()
@click.argument("app_url", metavar="APP_URL")
@as_json_option
@url_option
def add(app_url: str, as_json: bool, url: str) -> None:
    """Add the app whose serve endpoint is at APP_URL; ends with 1 if it does not sync."""
    _tell(call("POST", f"{url}/v1/apps", json={"url": app_url})["data"], as_json=as_json)


@apps.command()
@click.argument("app", shell_complete=names.apps)
@as_json_option
@url_option
def sync(app: str, as_json: bool, url: str) -> None:
    """Ask an APP, by name or id, for its functions; ends with 1 if it does not sync."""
    _tell(call("POST", f"{_path(url, app)}/sync")["data"], as_json=as_json)


def _tell(one: _App, *, as_json: bool) -> None:
    if as_json:
        print_json(one)
    wrong = _wrong(one)
    if wrong:
        raise click.ClickException(f"the app at {one['url']} did not sync: {wrong}")
    if not as_json:
        click.echo(f"{one['name']} is in sync: {_functions(one)}")


@apps.command()
@click.argument("app", shell_complete=names.apps)
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_option
@url_option
def archive(app: str, yes: bool, as_json: bool, url: str) -> None:
    """Archive an APP, by name or id: nothing starts its functions until it syncs again.

    Its runs continue, and its history stays. A Celery app is disconnected.
    """
    if not yes:
        _ask(app)
    found = call("POST", f"{_path(url, app)}/archive")["data"]
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found['name'] or found['id']} is archived")


def _ask(app: str) -> None:
    try:
        wanted = click.confirm(f"Archive {app}? Then nothing starts its functions.", err=True)
    except click.Abort:  # there is nobody to answer
        raise click.ClickException("nothing was changed: give --yes to go on unasked") from None
    if not wanted:
        raise click.ClickException("nothing was changed")


def _path(url: str, app: str) -> str:
    return f"{url}/v1/apps/{quote(app, safe='')}"
