"""The sockets on which an API listens: bound here, or inherited from a parent."""

import socket
from dataclasses import replace

import click

from .. import observe
from ..config import Settings
from .api_processes import Given

_BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """Listen on an address, without accepting. Raises ClickException if it cannot be used."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        why = str(error.strerror).partition(" (")[0]  # it repeats the address
        text = f"cannot listen on {host}:{port}: {why}"
        raise click.ClickException(f"{text}; use another --port or --host") from None
    made.setblocking(False)
    return made


def bind_for_workers(settings: Settings) -> tuple[socket.socket | None, Settings]:
    """Listen on the port for workers, if there is one; return the settings as they are then.

    A default port that is taken is done without: workers connect at the API's. Raises
    ClickException for another one.
    """
    port = settings.gateway_port
    if port is None:
        return None, settings
    try:
        return bind(settings.host, port), settings
    except click.ClickException as error:
        if settings.connect_port is not None:
            raise
        observe.event("connect.port_taken", level=30, port=port, error=error.message)
        return None, replace(settings, connect_port=settings.port)


def inherited(given: Given) -> tuple[socket.socket, socket.socket | None]:
    """Take over the sockets on which the parent listens: that of the API, and that for workers."""
    return _own(given.api), None if given.connect is None else _own(given.connect)


def _own(descriptor: int) -> socket.socket:
    found = socket.socket(fileno=descriptor)
    found.set_inheritable(False)
    found.setblocking(False)
    return found
