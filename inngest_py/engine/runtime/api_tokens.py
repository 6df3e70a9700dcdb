"""Check API tokens: each process keeps what it has read of a token for ten seconds.

So a request with a token costs no statement but once in that time, and a token that is revoked
works no longer than that. Tokens are kept by their hash, never as they are.
"""

import hmac
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import RowMapping

from ...domain.access import api_tokens as rules
from ...domain.access.api_tokens import ApiToken, Scope
from ...storage.db.session import Database
from ...storage.operations import api_tokens as rows

KEPT_SECONDS = 10.0
NOTED_EVERY = timedelta(minutes=1)
_MOST_KEPT = 1000


def read(row: RowMapping) -> ApiToken:
    """Make a token of its row."""
    return ApiToken(
        row["id"],
        row["name"],
        Scope(row["scope"]),
        row["created_by"],
        row["created_at"],
        row["expires_at"],
        row["revoked_at"],
        row["last_used_at"],
    )


class ApiTokens:
    """What a process knows of tokens; `clock` counts seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, ApiToken | None]] = {}
        self._noted: dict[str, datetime] = {}

    def find(self, db: Database, token: str) -> ApiToken | None:
        """Find a token, also one that has ended; None if there is none."""
        hashed = rules.hash_of(token)
        kept = self._kept.get(hashed)
        if kept is not None and self._clock() - kept[0] < KEPT_SECONDS:
            return kept[1]
        began = self._clock()
        with db.reading() as tx:
            row = rows.by_hash(tx, hashed)
        # the index compares byte by byte, but only hashes: what it takes says nothing of the token
        known = row is not None and hmac.compare_digest(row["hash"], hashed)
        found = read(row) if row is not None and known else None
        with self._lock:
            if len(self._kept) >= _MOST_KEPT:  # somebody guesses
                self._kept.clear()
            self._kept[hashed] = began, found
        return found

    def forget(self) -> None:
        """Read all tokens again: one was added or revoked here."""
        with self._lock:
            self._kept.clear()

    def is_to_be_noted(self, token: ApiToken, now: datetime) -> bool:
        """Say whether the caller should call note_use(): once a minute for each token."""
        with self._lock:
            noted = self._noted.get(token.id) or token.last_used_at
            if noted is not None and now - noted < NOTED_EVERY:
                return False
            if len(self._noted) >= _MOST_KEPT:
                self._noted.clear()
            self._noted[token.id] = now
        return True

    def note_use(self, db: Database, token: ApiToken, now: datetime) -> None:
        """Store that a token was used."""
        with db.transaction() as tx:
            rows.note_use(tx, token.id, now, now - NOTED_EVERY)
