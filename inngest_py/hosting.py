"""What the HTTP server around the API cannot do, as it says in a request's environ.

Our own server can do all. Others may serve no WebSockets, or only one request at a time. The values
are sentences for callers, which name the fix.
"""

NO_WEB_SOCKETS = "inngest_py.no_web_sockets"
NO_STREAMS = "inngest_py.no_streams"

WEB_SOCKETS_ELSEWHERE = (
    "this server serves no WebSockets: serve the API by `inngest-py api`, or by gunicorn with the"
    " worker class gevent"
)
STREAMS_ELSEWHERE = (
    "this server answers one request at a time, so it serves no streams: serve the API by"
    " `inngest-py api`, or by gunicorn with the worker class gevent or gthread"
)
