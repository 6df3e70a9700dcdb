"""Refuse apps whose host the settings put out of reach, when they are added.

Only the host's name is checked here; each connection checks the addresses that it resolves to.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from ...domain.access.reach import Reach
from ...domain.errors import Invalid

NOT_ALLOWED = "host_not_allowed"


def check(reach: Reach, urls: Iterable[str]) -> None:
    """Raise Invalid, naming host and setting, if one of an app's URLs is out of reach."""
    for host in {urlsplit(url).hostname for url in urls}:
        reason = None if host is None else reach.refusal_of_name(host)
        if reason is not None:
            raise Invalid(f"the app is out of reach: {reason}", field="url", code=NOT_ALLOWED)
