"""API tokens: what each scope allows, how a token looks, and when it ends."""

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ..errors import Invalid
from ..values import durations
from .roles import Role

# Programs that look for secrets in code know tokens by it, and no lookup is made for other keys.
PREFIX = "ipt_"
NEVER = "never"
RANDOM_BYTES = 32
_LONGEST = timedelta(days=3650)
_MOST_CHARS = 200


class Scope(StrEnum):
    """What a token may do: send events and nothing else, or what a role may."""

    EVENTS = "events"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def may(self, wanted: Role) -> bool:
        """Say whether it includes a role."""
        return self is not Scope.EVENTS and Role(self.value).may(wanted)

    def may_send_events(self) -> bool:
        """Say whether its tokens may send events."""
        return self is Scope.EVENTS or self.may(Role.OPERATOR)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token as the database has it: everything but the token itself.

    `expires_at` is None if it never ends, `last_used_at` is exact to a minute.
    """

    id: str
    name: str
    scope: Scope
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def state(self, now: datetime) -> str:
        """Say in a word whether it works: active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def refusal(self, now: datetime) -> str | None:
        """Say why it does not work any more; None while it does."""
        state = self.state(now)
        if state == "active":
            return None
        moment = self.revoked_at or self.expires_at
        assert moment is not None
        ended = "was revoked" if state == "revoked" else "expired"
        return f"the API token {self.name} {ended} at {moment:%Y-%m-%dT%H:%M:%SZ}"


def make(random: bytes) -> str:
    """Write RANDOM_BYTES as a token."""
    return PREFIX + urlsafe_b64encode(random).rstrip(b"=").decode()


def looks_like(text: str) -> bool:
    """Say whether a key or a bearer token may be an API token."""
    return text.startswith(PREFIX) and len(text) <= _MOST_CHARS


def hash_of(token: str) -> str:
    """Return what is stored of a token. It has 256 random bits, so a fast hash is safe."""
    return hashlib.sha256(b"api token:" + token.encode(errors="surrogatepass")).hexdigest()


def read_scope(given: str) -> Scope:
    """Read a scope. Raises Invalid."""
    if given not in set(Scope):
        raise Invalid(f"scope must be one of {', '.join(Scope)}", field="scope")
    return Scope(given)


def read_expiry(given: str, now: datetime) -> datetime | None:
    """Read how long a token is valid, as `90d` or `never`, which is None. Raises Invalid."""
    if given.strip().lower() == NEVER:
        return None
    try:
        lasts = durations.to_timedelta(given.strip())
    except Invalid as error:
        raise Invalid(f"{error.message}, or {NEVER}", field="expires_in") from None
    if not timedelta(0) < lasts <= _LONGEST:
        told = f"expires_in must be above 0 and up to {_LONGEST.days}d, or {NEVER}"
        raise Invalid(told, field="expires_in")
    return now + lasts
