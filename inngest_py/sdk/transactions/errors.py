"""What goes wrong with a transaction, other than in the app's own code."""

import inngest


class TransactionError(Exception):
    """The transaction could not be done now: another try may succeed."""


class TransactionRefused(inngest.NonRetriableError, TransactionError):
    """The step's code or result is wrong. It was rolled back, and is not tried again."""
