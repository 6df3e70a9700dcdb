"""What ends a connection of a worker: the error codes and close codes of connect.md §3, §4, §6."""

from dataclasses import dataclass

NORMAL = 1000
GOING_AWAY = 1001
POLICY = 1008
TOO_LARGE = 1009
INTERNAL = 1011
# RFC 6455 §5.5: a control frame holds 125 bytes, and the close code takes two
_MOST_REASON_BYTES = 123


@dataclass(frozen=True, slots=True)
class Ending:
    """A close code of RFC 6455, and the reason that goes with it."""

    code: int
    reason: str

    def short_reason(self) -> str:
        """Give the reason, cut to what a close frame holds."""
        return self.reason.encode()[:_MOST_REASON_BYTES].decode(errors="ignore")


HELLO_TIMEOUT = Ending(POLICY, "connect_worker_hello_timeout")
HELLO_INVALID_MESSAGE = Ending(POLICY, "connect_worker_hello_invalid_msg")
HELLO_INVALID_PAYLOAD = Ending(POLICY, "connect_worker_hello_invalid_payload")
TOO_MANY_APPS = Ending(POLICY, "connect_too_many_apps_per_connection")
UNAUTHENTICATED = Ending(POLICY, "connect_authentication_failed")
INVALID_MESSAGE = Ending(POLICY, "connect_worker_invalid_msg")
HEARTBEATS_MISSED = Ending(POLICY, "CONSECUTIVE_HEARTBEATS_MISSED")
MESSAGE_TOO_LARGE = Ending(TOO_LARGE, "MESSAGE_TOO_LARGE")
GATEWAY_CLOSING = Ending(GOING_AWAY, "connect_gateway_closing")
INTERNAL_ERROR = Ending(INTERNAL, "connect_internal_error")
WORKER_SHUTDOWN = "WORKER_SHUTDOWN"
NO_WORKER = "connect_no_healthy_connection"
LOST = "CONNECTION_LOST"  # its socket has closed without a word
GATEWAY_GONE = "GATEWAY_GONE"  # the process that held it was killed
_ENDINGS = (
    *(HELLO_TIMEOUT, HELLO_INVALID_MESSAGE, HELLO_INVALID_PAYLOAD, TOO_MANY_APPS, UNAUTHENTICATED),
    *(INVALID_MESSAGE, HEARTBEATS_MISSED, MESSAGE_TOO_LARGE, GATEWAY_CLOSING, INTERNAL_ERROR),
)
# all that we name ourselves; a worker may name another
REASONS = frozenset({*(one.reason for one in _ENDINGS), WORKER_SHUTDOWN, LOST, GATEWAY_GONE})
