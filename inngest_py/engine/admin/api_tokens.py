"""Make, list and revoke API tokens."""

import secrets
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError

from ...domain.access import api_tokens as rules
from ...domain.access.api_tokens import ApiToken
from ...domain.errors import Conflict, NotFound
from ...storage.db.session import Database
from ...storage.operations import api_tokens as rows
from ..runtime.api_tokens import read
from ..runtime.audit import SHELL, Actor, note
from ..runtime.context import new_ulid
from .accounts import check_name

MOST_TOKENS = 500
# how long one that has ended is kept: so long, its users are told what became of it
_KEPT = timedelta(days=30)


def add(
    db: Database, name: str, scope: str, expires_in: str, now: datetime, by: Actor = SHELL
) -> tuple[str, ApiToken]:
    """Make a token and return it, with its row; nobody can read it again.

    `expires_in` is a duration, or `never`. Raises Invalid, and Conflict for a name in use.
    """
    token = rules.make(secrets.token_bytes(rules.RANDOM_BYTES))
    row = {
        "id": new_ulid(now),
        "hash": rules.hash_of(token),
        "name": check_name(name),
        "scope": rules.read_scope(scope).value,
        "created_by": by.shown,
        "created_at": now,
        "expires_at": rules.read_expiry(expires_in, now),
        "revoked_at": None,
        "last_used_at": None,
    }
    try:
        with db.transaction() as tx:
            rows.forget(tx, now - _KEPT)
            if rows.count(tx) >= MOST_TOKENS and not rows.forget_oldest_ended(tx, now):
                raise Conflict(f"there are {MOST_TOKENS} API tokens already: revoke some first")
            rows.add(tx, row)
            note(tx, by, now, "api_token.add", name, scope)
            made = rows.get(tx, str(row["id"]))
    except IntegrityError as error:
        raise Conflict(f"there is an API token {name} already: revoke it first") from error
    assert made is not None
    return token, read(made)


def every(db: Database) -> list[ApiToken]:
    """List the tokens by name, also those that have ended lately."""
    with db.reading() as tx:
        return [read(row) for row in rows.every(tx)]


def revoke(db: Database, token_id: str, now: datetime, by: Actor = SHELL) -> ApiToken:
    """End a token: other processes refuse it within ten seconds. Raises NotFound and Conflict."""
    with db.transaction() as tx:
        row = rows.get(tx, token_id)
        if row is None:
            raise NotFound(f"there is no API token {token_id[:50]!r}")
        if not rows.revoke(tx, token_id, now):
            raise Conflict(f"the API token {row['name']} is revoked already")
        note(tx, by, now, "api_token.revoke", row["name"], row["scope"])
        ended = rows.get(tx, token_id)
    assert ended is not None
    return read(ended)
