"""Steps whose writes to the app's own database happen once.

`transaction` runs a step's code in a transaction of that database, and keeps the step's result
there in the same commit. See docs/python.md.
"""

from .errors import TransactionError
from .step import transaction
from .sweeping import sweep
from .table import create_table, table_sql

__all__ = ["TransactionError", "create_table", "sweep", "table_sql", "transaction"]
