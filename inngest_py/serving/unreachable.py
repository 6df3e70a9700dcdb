"""Words for a database that cannot be reached, of servers and commands."""

from ..storage.db.outages import reason


def unreachable(error: Exception) -> str:
    """Describe why a database cannot be used, with what to check."""
    return f"the database cannot be reached ({reason(error)}): check --database-url"
