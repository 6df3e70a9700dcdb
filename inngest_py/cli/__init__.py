"""The command line: click, one file a command."""

import click

from ..version import __version__
from .check import check
from .client import runs, send
from .db import db
from .serve import api, dev, start
from .worker import worker


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="inngest-py")
def cli() -> None:
    """A durable function server that speaks the Inngest protocol."""


for command in (dev, start, api, worker, check, db, send, runs):
    cli.add_command(command)
