"""Who runs a command: the audit log has the name."""

import getpass
import os


def user() -> str:
    """Name who runs the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"
