"""How long this process, the kernel and the server wait in connections to PostgreSQL."""

from collections.abc import Container
from dataclasses import dataclass

from .row_types import RowValues

# The server ends a slow statement this many seconds before the client gives the connection up.
_ANSWERS_LATER = 3.0


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Times in seconds; 0 means no limit.

    `connect` is for each step of making a connection, `network` for packets that are not
    confirmed, `statement` for one statement, `lock` for a lock that another transaction holds.
    """

    connect: float = 5.0
    network: float = 10.0
    statement: float = 10.0
    lock: float = 5.0

    @property
    def patience(self) -> float | None:
        """How many seconds to wait for a statement's answer; None for ever."""
        return self.statement + _ANSWERS_LATER if self.statement else None

    def settings(self) -> dict[str, int]:
        """Return the settings of a session, in milliseconds.

        A process that hangs in the middle of a transaction must not hold its locks for ever.
        """
        return {
            "statement_timeout": round(self.statement * 1000),
            "lock_timeout": round(self.lock * 1000),
            "idle_in_transaction_session_timeout": round(self.statement * 1000),
        }

    def arguments(self, given: Container[str]) -> RowValues:
        """Make libpq's parameters, except those `given` in the URL.

        A silent network is probed after half of `network`, so that it is noticed within `network`.
        """
        probe = max(1, round(self.network / 6))
        made = {
            "connect_timeout": max(2, round(self.connect)) if self.connect else 0,
            "keepalives": int(bool(self.network)),
            "keepalives_idle": max(1, round(self.network / 2)),
            "keepalives_interval": probe,
            "keepalives_count": 3,
            "tcp_user_timeout": round(self.network * 1000),
        }
        return {name: value for name, value in made.items() if name not in given}
