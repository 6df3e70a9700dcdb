"""What trusted proxies in front of the server say about their clients."""

from ipaddress import ip_address, ip_network

from werkzeug.wrappers import Request

from .config import Settings

_LONGEST = 64


def is_trusted(settings: Settings, request: Request) -> bool:
    """Say whether a request comes from one of the proxies that the settings name."""
    if not settings.ui_proxies:
        return False
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return False
    return any(address in ip_network(proxy) for proxy in settings.ui_proxies)


def client_address(settings: Settings, request: Request) -> str:
    """Return the client's address: behind a trusted proxy, the last one of X-Forwarded-For."""
    given = request.headers.get("X-Forwarded-For", "") if is_trusted(settings, request) else ""
    return (given.rpartition(",")[2].strip() or request.remote_addr or "")[:_LONGEST]


def is_https(settings: Settings, request: Request) -> bool:
    """Say whether the client uses TLS: to us, or to a trusted proxy, which then says so."""
    given = request.headers.get("X-Forwarded-Proto", "") if is_trusted(settings, request) else ""
    return request.is_secure or given == "https"
