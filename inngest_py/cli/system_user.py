"""The system's user who runs a command; the audit log has the name."""

import getpass
import os


def user() -> str:
    """Return the name of the user who runs the command, as the system has it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"
