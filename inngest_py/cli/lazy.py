"""Groups whose commands are imported when they are used: so that a client starts quickly."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from ..loading import without_collections


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is used.

    `modules` has the module of each command, where it stands under the command's name, with `_`
    for `-`.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], **more: Any) -> None:
        super().__init__(*args, **more)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List its commands by name."""
        return sorted({*self._modules, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._modules:
            return super().get_command(ctx, cmd_name)
        with without_collections():
            module = import_module(self._modules[cmd_name])
        found: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return found
