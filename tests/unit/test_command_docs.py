"""The page of the command line names every command, and commands and options that exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from inngest_py.cli import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "command-line.md").read_text()


def every(group: click.Group, path: str = "") -> Iterator[str]:
    """List the commands, with the groups that they are in."""
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        found = group.get_command(ctx, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from every(found, f"{path}{name} ")
        else:
            yield f"{path}{name}"


def lines() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    found = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    found = [line for line in found if line.startswith("inngest-py ")]
    return [re.sub(r" > ~.*", "", line) for line in found]


@pytest.mark.parametrize("line", lines())
def test_a_line_of_the_page_is_a_command(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is parsed as the shell would pass it; the command itself does not run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.jsonl").touch()
    command: click.Command = cli
    words = shlex.split(line)[1:]
    ctx = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(ctx, words[0])
        assert found is not None, words[0]
        command, words = found, words[1:]
    with command.make_context("inngest-py", words):
        pass


def test_the_page_names_every_command() -> None:
    told = " ".join(lines()) + PAGE
    assert [one for one in every(cli) if not re.search(rf"(inngest-py |`){one}\b", told)] == []
