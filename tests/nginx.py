"""nginx, as a real process with the sample of docker/nginx before API processes."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from .processes import LOOPBACK, ROOT, Server

SAMPLE = ROOT / "docker" / "nginx" / "inngest.conf"
_UPSTREAM = re.compile(r"^    server 10\.0\.0\.\d+:8288", re.M)
# what Debian's own nginx.conf has around the sample, in a folder of the test
_AROUND = """\
daemon off;
user root;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{sample}}}
"""


class Nginx(Server):
    """nginx with the sample, in which ports of this machine take the place of two machines."""

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            pytest.skip("nginx is not installed")
        super().__init__("nginx", log=folder / "nginx.log")
        left = iter(ports)
        sample = _UPSTREAM.sub(lambda _: f"    server {LOOPBACK}:{next(left)}", SAMPLE.read_text())
        assert next(left, None) is None, "the sample has fewer servers"
        listening = sample.replace("listen 80;", f"listen {LOOPBACK}:{self.port};")
        conf = folder / "nginx.conf"
        conf.write_text(_AROUND.format(folder=folder, sample=listening))
        self.argv = [program, "-p", str(folder), "-c", str(conf)]
