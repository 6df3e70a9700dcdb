"""Roles: what operators of the dashboard may do."""

from enum import StrEnum

# The header in which our command line names its user, as many users share a key. It proves nothing.
CLAIM = "X-Inngest-Py-User"


class Role(StrEnum):
    """Each role may do what those before it may."""

    VIEWER = "viewer"  # look at everything but the audit log
    OPERATOR = "operator"  # change runs, functions and apps, send events
    ADMIN = "admin"  # see who did what, look after users, API tokens and receivers

    def may(self, wanted: "Role") -> bool:
        """Say whether this role includes another one."""
        order = list(Role)
        return order.index(self) >= order.index(wanted)
