"""Which field of a form an error is about, so that the page says it there."""

import re
from collections.abc import Collection

from ...domain.errors import InngestPyError

_FIRST = re.compile(r"[^.\[]*")


def wrong_fields(
    error: InngestPyError, fields: Collection[str], otherwise: str | None = None
) -> dict[str, str]:
    """Return the error by the field of the form that it names, as `data` for `data.total`.

    One that names none of the fields is about `otherwise`; without that, about none: the page says
    it on top.
    """
    named = _FIRST.match(getattr(error, "field", None) or "")
    name = named.group() if named is not None and named.group() in fields else otherwise
    return {} if name is None else {name: error.message}
