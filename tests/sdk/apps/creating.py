"""Functions of the scenarios, made of their handlers."""

from typing import Any

import inngest

Made = list[inngest.Function[Any]]


def create(client: inngest.Inngest, *handlers: Any) -> Made:
    """Make functions named as their handlers, each triggered by `<app>/<name>`, without retries."""
    return [
        client.create_function(
            fn_id=handler.__name__,
            trigger=inngest.TriggerEvent(event=f"{client.app_id}/{handler.__name__}"),
            retries=0,
        )(handler)
        for handler in handlers
    ]
