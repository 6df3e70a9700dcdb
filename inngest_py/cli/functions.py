"""`functions`: list, limit, pause and resume functions through the REST API."""

import json
from typing import Any
from urllib.parse import quote

import click

from ..domain.functions import overrides
from ..domain.functions.function_config import FunctionConfig
from ..domain.values.dataclass_json import decode
from .client import call, pairs, url_option
from .system_user import user


@click.group()
def functions() -> None:
    """Look at functions; pause and resume them."""


@functions.command("list")
@click.option("--archived", is_flag=True, help="Also functions that no app serves any more.")
@url_option
def list_(archived: bool, url: str) -> None:
    """List functions: slug, state, what starts them, their limits."""
    for function in call("GET", f"{url}/api/v1/functions")["data"]:
        if function["archived_at"] is None or archived:
            line = f"{function['id']:<40}  {_state(function):<14}  {_starts(function)}"
            click.echo(f"{line}  {_limits(function)}".rstrip())


def _limits(function: dict[str, Any]) -> str:
    found = overrides.summary(decode(FunctionConfig, function["config"]))
    override = function["limits"]
    if override is None:
        return f"[{found}]" if found else ""
    until = f" until {override['expires_at']}" if override["expires_at"] else ""
    return f"[{found or 'no limits'}; overridden{until}]"


@functions.command()
@click.argument("function")
@click.option("--set", "body", help='Override limits: JSON such as {"concurrency": 5}.')
@click.option("--expires-in", help="When an override ends: 90s, 1h30m, 7d.")
@click.option("--clear", is_flag=True, help="Undo the override.")
@url_option
def limits(function: str, body: str | None, expires_in: str | None, clear: bool, url: str) -> None:
    """Show, override or restore the limits of a function, given by slug or id."""
    if body is not None and clear:
        raise click.UsageError("--set and --clear cannot be given together")
    if expires_in is not None and body is None:
        raise click.UsageError("--expires-in needs --set")
    path = f"{url}/api/v1/functions/{quote(function, safe='')}/limits"
    if body is None:
        found = call("DELETE" if clear else "GET", path)
    else:
        found = call("PUT", path, json=_override(body, expires_in))
    click.echo(json.dumps(found["data"], indent=2))


@functions.command()
@click.argument("function")
@click.option("--set", "given", multiple=True, help="Declare a key: order_id=event.data.order_id.")
@click.option("--remove", multiple=True, help="Remove the key of this name.")
@click.option("--clear", is_flag=True, help="Remove all keys.")
@url_option
def keys(
    function: str, given: tuple[str, ...], remove: tuple[str, ...], clear: bool, url: str
) -> None:
    """Show or change the search keys of a function, given by slug or id.

    Its runs are then found by `runs list --key order_id=A-1001`.
    """
    path = f"{url}/v1/functions/{quote(function, safe='')}/search-keys"
    wanted = pairs(given, "--set")
    if clear:
        found = call("DELETE", path)["data"]
    elif wanted or remove:
        known = {one["name"]: one["path"] for one in call("GET", path)["data"]["keys"]}
        unknown = set(remove) - known.keys()
        if unknown:
            raise click.UsageError(f"{function} has no key {', '.join(sorted(unknown))}")
        kept = {name: text for name, text in (known | wanted).items() if name not in remove}
        found = call("PUT", path, json={"keys": kept})["data"]
    else:
        found = call("GET", path)["data"]
    if not found["keys"]:
        click.echo(f"{found['id']} has no search keys", err=True)
    for one in found["keys"]:
        total = "runs" if one["total"] is None else f"of {one['total']:,} runs"
        state = "indexed" if one["indexed"] else f"{one['done']:,} {total} are indexed"
        click.echo(f"{one['name']:<20}  {one['path']:<40}  {state}")


def _override(body: str, expires_in: str | None) -> dict[str, object]:
    try:
        given = json.loads(body)
    except ValueError as error:
        raise click.UsageError(f"--set is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise click.UsageError('--set must be an object such as {"concurrency": 5}')
    asked: dict[str, object] = {"by": user(), **given}
    return asked | ({"expiresIn": expires_in} if expires_in else {})


def _state(function: dict[str, Any]) -> str:
    if function["paused"]:
        return f"paused ({function['paused_events']})"
    return "archived" if function["archived_at"] is not None else "active"


def _starts(function: dict[str, Any]) -> str:
    triggers = function["config"].get("triggers") or []
    return ", ".join(str(one.get("event") or one.get("cron")) for one in triggers)


@functions.command()
@click.argument("function")
@click.option(
    "--events",
    type=click.Choice(["skip", "hold"]),
    default="skip",
    show_default=True,
    help="Skip the runs of new events, or hold them until it is resumed.",
)
@url_option
def pause(function: str, events: str, url: str) -> None:
    """Pause a function, given by slug or id."""
    path = f"{url}/api/v1/functions/{quote(function, safe='')}/pause"
    shown = call("POST", path, json={"events": events})["data"]
    click.echo(f"{shown['id']} is {_state(shown)}")


@functions.command()
@click.argument("function")
@url_option
def resume(function: str, url: str) -> None:
    """Resume a function, given by slug or id."""
    path = f"{url}/api/v1/functions/{quote(function, safe='')}/resume"
    shown = call("POST", path)["data"]
    click.echo(f"{shown['id']} is {_state(shown)}")
