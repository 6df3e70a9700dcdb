"""`tokens`: make, list and revoke API tokens, in the database."""

from datetime import UTC, datetime

import click

from ...domain.access.api_tokens import NEVER, ApiToken, Scope
from ...domain.errors import NotFound
from ...domain.values.json_types import JsonObject
from ...engine.admin import api_tokens
from ...storage.db.session import Database
from .. import options
from ..users import actor, database_of, tell


@click.group()
def tokens() -> None:
    """Look after API tokens: keys of programs, which end and can be revoked."""


@tokens.command()
@click.argument("name")
@click.option(
    "--scope",
    required=True,
    type=click.Choice([*map(str, Scope)]),
    help="What it may do: send events alone, or what a role may.",
)
@click.option(
    "--expires",
    default="90d",
    show_default=True,
    help=f"How long it is valid: a duration such as 90d, or {NEVER}.",
)
@options.answering
def add(name: str, scope: str, expires: str, **flags: object) -> None:
    """Make a token, and print it: nobody can read it again."""
    with database_of(flags) as database:
        token, made = api_tokens.add(database, name, scope, expires, datetime.now(UTC), actor())
    ends = "never ends" if made.expires_at is None else f"is valid until {_moment(made.expires_at)}"
    click.echo(f"{made.name} ({made.scope}) {ends}; this is shown once:", err=True)
    tell({"id": made.id, "name": made.name, "scope": made.scope, "token": token}, token, flags)


@tokens.command("list")
@options.answering
def list_(**flags: object) -> None:
    """List the tokens: id, name, scope, state, when it ends, when it was last used."""
    now = datetime.now(UTC)
    with database_of(flags) as database:
        found = api_tokens.every(database)
    tell([_shape(one, now) for one in found], "\n".join(_line(one, now) for one in found), flags)


def _shape(one: ApiToken, now: datetime) -> JsonObject:
    return {
        "id": one.id,
        "name": one.name,
        "scope": one.scope,
        "state": one.state(now),
        "expires_at": None if one.expires_at is None else _moment(one.expires_at),
        "last_used_at": None if one.last_used_at is None else _moment(one.last_used_at),
    }


def _line(one: ApiToken, now: datetime) -> str:
    ends = NEVER if one.expires_at is None else _moment(one.expires_at)
    used = "not used yet" if one.last_used_at is None else f"used {_moment(one.last_used_at)}"
    return f"{one.id}  {one.name:<24}  {one.scope:<8}  {one.state(now):<7}  {ends:<20}  {used}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@tokens.command()
@click.argument("token")
@options.answering
def revoke(token: str, **flags: object) -> None:
    """Revoke a token, named by its id or its name: servers refuse it within ten seconds."""
    now = datetime.now(UTC)
    with database_of(flags) as database:
        ended = api_tokens.revoke(database, _id_of(database, token), now, actor())
    tell({"id": ended.id, "name": ended.name}, f"{ended.name} is revoked", flags)


def _id_of(database: Database, given: str) -> str:
    """Find a token by its id, or one that works by its name. Raises NotFound."""
    known = api_tokens.every(database)
    for one in known:
        if one.id == given or (one.name == given and one.revoked_at is None):
            return one.id
    raise NotFound(f"there is no API token {given[:64]!r}: see inngest-py tokens list")
