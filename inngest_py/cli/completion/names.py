"""Names that a shell completes by asking the server: of functions and of apps."""

import click
from click.shell_completion import CompletionItem

from ..client import call

_TIMEOUT = 1.0  # whoever presses the key waits for it
_DEFAULT_URL = "http://127.0.0.1:8288"


class ServerName(click.ParamType[str]):
    """A name that the server knows; it is not checked here."""

    def __init__(self, path: str, field: str, name: str) -> None:
        self._path, self._field, self.name = path, field, name

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """List the names that begin so; none if the server does not answer at once."""
        url = ctx.params.get("url") or _DEFAULT_URL
        try:
            found = call("GET", f"{url}{self._path}", timeout=_TIMEOUT)["data"]
        except click.ClickException:
            return []
        names = {
            one[self._field] for one in found if one[self._field] and not one.get("archived_at")
        }
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


FUNCTION = ServerName("/api/v1/functions", "id", "FUNCTION")
APP = ServerName("/api/v1/apps", "name", "APP")
