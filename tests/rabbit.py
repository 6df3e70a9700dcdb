"""RabbitMQ as a real server from Debian's package, for tests to start and kill."""

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

import amqp

from .processes import LOOPBACK, Process, free_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_START_SECONDS = 120.0  # Erlang loads for ten on an idle machine


class Rabbit:
    """One RabbitMQ server on a folder of its own, without plugins; queues outlive a kill."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="inngest-py-rabbit-"))
        home = str(self.folder)
        self._epmd = {
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",  # it may be killed while a node is known
        }
        env = {
            "HOME": home,
            "RABBITMQ_NODENAME": "test@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{home}/db",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": f"{home}/none",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/plugins",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        self._process = Process([str(SERVER)], log=self.folder / "rabbit.log", env=env | self._epmd)

    @property
    def url(self) -> str:
        """The URL of its default virtual host, as a Celery broker URL."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def start(self) -> Self:
        """Start it and wait until it answers."""
        self._process.start().wait_ready(self.answers, _START_SECONDS)
        return self

    def kill(self) -> None:
        """Kill it."""
        self._process.kill9()

    def flush(self) -> None:
        """Remove all queues and their messages: start again as if it were new."""
        self.kill()
        shutil.rmtree(self.folder / "db", ignore_errors=True)
        self.start()

    def freeze(self) -> None:
        """Stop it in its tracks; connections stay open."""
        self._process.suspend()

    def thaw(self) -> None:
        """Let it go on."""
        self._process.resume()

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            with self._connection():
                return True
        except OSError:
            return False

    def is_read(self) -> bool:
        """Whether a worker waits for messages of the first kind."""
        with suppress(OSError, amqp.exceptions.AMQPError), self._connection() as connection:
            found = connection.channel().queue_declare("start", passive=True)
            return int(found.consumer_count) > 0
        return False

    def close(self) -> None:
        """Kill it and its port mapper, and remove its folder."""
        self.kill()
        subprocess.run(
            ["epmd", "-kill"], env={**os.environ, **self._epmd}, capture_output=True, check=False
        )
        shutil.rmtree(self.folder, ignore_errors=True)

    def _connection(self) -> amqp.Connection:
        return amqp.Connection(f"{LOOPBACK}:{self.port}", connect_timeout=2, read_timeout=5)
