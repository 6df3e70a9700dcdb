"""Where the browser is, as it writes it: under the root path, if the server has one."""

from flask import request


def here() -> str:
    """Return the path of the request as the browser has it, with its query."""
    return request.script_root + request.full_path.rstrip("?")


def cookie_path() -> str:
    """Return the path of cookies: another installation on this host has another one."""
    return request.script_root or "/"
