"""Names that a shell completes by asking the server: of functions and of apps."""

import click
from click.shell_completion import CompletionItem

from ..client import call

_TIMEOUT = 1.0  # whoever presses the key waits for it
_DEFAULT_URL = "http://127.0.0.1:8288"


def functions(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """List the slugs of functions that begin so; none if the server does not answer at once."""
    return _named(ctx, "/api/v1/functions", "id", incomplete)


def apps(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """List the names of apps that begin so; none if the server does not answer at once."""
    return _named(ctx, "/api/v1/apps", "name", incomplete)


def _named(ctx: click.Context, path: str, field: str, incomplete: str) -> list[CompletionItem]:
    url = ctx.params.get("url") or _DEFAULT_URL
    try:
        found = call("GET", f"{url}{path}", timeout=_TIMEOUT)["data"]
    except click.ClickException:
        return []
    names = {one[field] for one in found if one[field] and one.get("archived_at") is None}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]
