"""The command line's entry: `inngest-py` and `python -m inngest_py`.

gevent's patch comes before any import that takes a socket or a lock.

Written against gevent 26.9: its hub prints no error of `NOT_ERROR`.
"""


def main() -> None:
    """Patch, then run the command line."""
    from gevent import hub, monkey

    monkey.patch_all()
    # Ctrl-C ends a command, which says so itself; gevent would print it first
    hub.Hub.NOT_ERROR = (*hub.Hub.NOT_ERROR, KeyboardInterrupt)
    from .cli import cli

    cli(prog_name="inngest-py")


if __name__ == "__main__":
    main()
