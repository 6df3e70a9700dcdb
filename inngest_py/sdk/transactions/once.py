"""One transaction that happens once: its key is inserted first, its result updated last.

Whoever comes second with the same key waits at its insert, in the database, until the first has
ended. If that one committed, the insert fails and its result is read; if not, the insert succeeds,
and the code runs. All three databases do so at every isolation level: the insert is the first
statement, so SQLite has its write lock from there on, and no snapshot is older than the wait.
"""

from collections.abc import Callable

from ..databases.database import Database, Transaction, is_conflict
from . import table
from .errors import TransactionError, TransactionRefused
from .table import TABLE, Key

# A deadlock of inserts ends with one winner; a row may be swept between insert and read.
_TRIES = 5
Body = Callable[[Transaction], str]


class _NotInserted(Exception):
    """The key could not be taken; nothing was written."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


def run_once(database: Database, key: Key, step: str, body: Body) -> str:
    """Run the body in a transaction, unless it was committed before; return its result, JSON.

    What the body raises goes through, after a rollback. Raises TransactionError where the table is
    missing, TransactionRefused if the body ended the transaction itself.
    """
    for _ in range(_TRIES - 1):
        try:
            return _run(database, key, step, body)
        except _NotInserted as refused:
            found = _after(database, key, step, refused.cause)
        if found is not None:
            return found
    try:
        return _run(database, key, step, body)
    except _NotInserted as refused:
        raise refused.cause from None


def _run(database: Database, key: Key, step: str, body: Body) -> str:
    with database.begin() as transaction:
        try:
            table.insert(transaction, key)
        except Exception as error:
            if database.is_of_database(error):
                raise _NotInserted(error) from error
            raise
        with transaction.guard():
            result = body(transaction)
        if not table.store(transaction, key, result):
            raise TransactionRefused(f"the code of step {step!r} has removed its mark: {_ENDED}")
    return result


_ENDED = "it must not roll back, commit or delete from inngest_transactions"


def _after(database: Database, key: Key, step: str, cause: Exception) -> str | None:
    """Read the result of whoever has the key; None if nobody has it (any more).

    Raises the cause if it is another one.
    """
    if not database.is_duplicate(cause) and not is_conflict(cause):
        problem = TABLE.missing(database)
        raise cause if problem is None else TransactionError(problem) from cause
    with database.begin() as transaction:
        found = table.find(transaction, key)
    if found is None:
        return None
    if found.result is None:
        raise TransactionRefused(
            f"the code of step {step!r} was committed before it had returned (by a DDL statement of"
            " MySQL?): look at what it has written, then delete the row of run"
            f" {key.run_id}, step {key.step_id} from {TABLE.name}"
        )
    return found.result
