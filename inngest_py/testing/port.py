"""A real port, for apps and clients in other processes."""

import threading

from werkzeug.serving import make_server

from .api import Api
from .errors import InngestTestError

_HOST = "127.0.0.1"
_LAST_PORT = 65_535


class Port:
    """Serves the API of a test at a port of this machine."""

    def __init__(self, api: Api, port: int) -> None:
        """Listen; 0 is any free port. Raises InngestTestError if it is taken."""
        is_number = isinstance(port, int) and not isinstance(port, bool)
        if not (is_number and 0 <= port <= _LAST_PORT):
            raise InngestTestError(f"listen: a port is a number up to {_LAST_PORT}, not {port!r}")
        try:
            self._server = make_server(
                _HOST,
                port,
                api.wsgi,
                threaded=True,
            )
        except (OSError, SystemExit):  # what werkzeug makes of one that is taken
            raise InngestTestError(f"listen: port {port} cannot be opened: it is taken") from None
        self.url = f"http://{_HOST}:{self._server.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.name = "inngest-test-port"
        self._thread.start()

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
