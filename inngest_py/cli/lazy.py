"""Groups whose commands are imported when they are used: so that a client starts quickly."""

from collections.abc import Mapping
from importlib import import_module

import click

from ..loading import without_collections


def lazy_group(modules: Mapping[str, str]) -> type[click.Group]:
    """Make a kind of group that imports a command's module only when the command is used.

    `modules` has the module of each command, where it stands under the command's name, with `_`
    for `-`.
    """

    class LazyGroup(click.Group):
        """The group; it may have other commands, too."""

        def list_commands(self, ctx: click.Context) -> list[str]:
            return sorted({*modules, *super().list_commands(ctx)})

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in modules:
                return super().get_command(ctx, cmd_name)
            with without_collections():
                module = import_module(modules[cmd_name])
            found: click.Command = getattr(module, cmd_name.replace("-", "_"))
            return found

    return LazyGroup
