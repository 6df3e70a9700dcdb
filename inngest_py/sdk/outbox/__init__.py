"""Events that are sent if, and only if, the app's own transaction commits.

`send` writes them into that transaction, as rows of a table. A relay, in a thread of the app or as
`inngest-py outbox-relay`, sends them to the server until it has taken them. See docs/python.md.
"""

from .parking import Parked, Status, discard_parked, parked, retry_parked, status
from .relay import Relay
from .sending import send
from .table import create_table, table_sql

__all__ = [
    "Parked",
    "Relay",
    "Status",
    "create_table",
    "discard_parked",
    "parked",
    "retry_parked",
    "send",
    "status",
    "table_sql",
]
