"""The command line's entry: `inngest-py` and `python -m inngest_py`.

gevent's patch comes before any import that takes a socket or a lock.
"""


def main() -> None:
    """Patch, then run the command line."""
    from gevent import monkey

    monkey.patch_all()
    from .cli import cli

    cli(prog_name="inngest-py")


if __name__ == "__main__":
    main()
