"""`completion`: print what lets a shell complete commands, options and names."""

import click
from click.shell_completion import get_completion_class

_PROGRAM = "inngest-py"
_VARIABLE = "_INNGEST_PY_COMPLETE"  # click's own, by which the shell asks the program
_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the code that lets a SHELL complete what is typed.

    Add to ~/.bashrc: eval "$(inngest-py completion bash)"; to ~/.zshrc: eval "$(inngest-py
    completion zsh)"; for fish: inngest-py completion fish >
    ~/.config/fish/completions/inngest-py.fish. Names of functions and apps are asked of the server.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"this version of click cannot complete in {shell}")
    click.echo(found(ctx.find_root().command, {}, _PROGRAM, _VARIABLE).source())
