"""`send` and `runs`: the REST API from the shell."""

import json
import os
from typing import Any

import click
import requests

_TIMEOUT = 30


def _url_option(command: Any) -> Any:
    default = os.environ.get("INNGEST_BASE_URL", "http://127.0.0.1:8288")
    return click.option("--url", default=default, show_default=True, help="The server.")(command)


def _call(method: str, url: str, **options: Any) -> Any:
    headers = {}
    key = os.environ.get("INNGEST_SIGNING_KEY")
    if key:
        from ..domain import signing

        headers["Authorization"] = f"Bearer {signing.bearer(key)}"
    try:
        answer = requests.request(method, url, timeout=_TIMEOUT, headers=headers, **options)
        body = answer.json()
    except requests.RequestException as error:
        raise click.ClickException(f"{url}: {type(error).__name__}") from None
    except ValueError:
        raise click.ClickException(f"{url} answered {answer.status_code}, not JSON") from None
    if answer.status_code >= 400:
        raise click.ClickException(str(body.get("error") or body))
    return body


@click.command()
@click.argument("name")
@click.option("--data", default="{}", help="The event's data, a JSON object.")
@click.option("--id", "event_id", help="An idempotency id.")
@_url_option
def send(name: str, data: str, event_id: str | None, url: str) -> None:
    """Send an event."""
    try:
        parsed = json.loads(data)
    except ValueError as error:
        raise click.UsageError(f"--data is not JSON: {error}") from None
    event = {"name": name, "data": parsed} | ({"id": event_id} if event_id else {})
    body = _call("POST", f"{url}/api/v1/events", json=event)
    for sent in body["data"]["ids"]:
        click.echo(sent)


@click.group()
def runs() -> None:
    """Look at runs."""


@runs.command("list")
@click.option("--status", multiple=True)
@click.option("--function")
@click.option("--limit", default=20, show_default=True)
@_url_option
def list_(status: tuple[str, ...], function: str | None, limit: int, url: str) -> None:
    """List runs, newest first."""
    query = {"status": list(status), "function": function, "limit": limit}
    body = _call("GET", f"{url}/api/v1/runs", params=query)
    for run in body["data"]:
        click.echo(f"{run['id']}  {run['status']:<10} {run['queued_at']}  {run['function']}")


@runs.command()
@click.argument("run_id")
@_url_option
def show(run_id: str, url: str) -> None:
    """Show a run."""
    body = _call("GET", f"{url}/api/v1/runs/{run_id}")
    click.echo(json.dumps(body["data"], indent=2))


@runs.command()
@click.argument("run_id")
@_url_option
def cancel(run_id: str, url: str) -> None:
    """Cancel a run."""
    body = _call("DELETE", f"{url}/api/v1/runs/{run_id}")
    click.echo(f"{run_id} was {body['data']['was']}")
