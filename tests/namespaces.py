"""A network namespace whose packets can be dropped, both ends alive: Linux only, for root."""

import os
import shutil
import subprocess
from contextlib import ExitStack
from functools import cache
from types import TracebackType
from typing import Self


@cache
def can_make_namespaces() -> bool:
    """Say whether this machine lets us make network namespaces."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    name = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode == 0:
        _ip("netns", "del", name)
    return made.returncode == 0


class Network:
    """A namespace that reaches this machine at `address` by a router between them.

    `prefix` before a command runs it there.
    """

    def __init__(self) -> None:
        number = os.getpid() % 16384
        net = f"10.{200 + number // 256 % 50}.{number % 256}"
        self.address, self._near, self._far, self._there = (f"{net}.{n}" for n in (1, 2, 5, 6))
        self._subnet = f"{net}.4/30"
        self._router, self._name = f"router-{number}", f"far-{number}"
        self._first, self._second = f"cka{number}", f"ckb{number}"
        self.prefix = ["ip", "netns", "exec", self._name]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as made:
            for name in (self._router, self._name):
                _ip("netns", "add", name)
                made.callback(_ip, "netns", "del", name)
            self._link(self._first, None, self.address, self._router, self._near)
            # with its namespace it would go some time later, and the next network has its name
            made.callback(_ip, "link", "del", self._first)
            self._link(self._second, self._router, self._far, self._name, self._there)
            _ip("route", "add", self._subnet, "via", self._near)
            _ip("-n", self._name, "route", "add", "default", "via", self._far)
            self.carry(True)
            self._stack = made.pop_all()
        return self

    def _link(self, name: str, one: str | None, address: str, other: str, its: str) -> None:
        """Join two namespaces, None for our own, by a pair of interfaces."""
        _ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
        if one is not None:
            _ip("link", "set", name, "netns", one)
        _ip("link", "set", f"{name}p", "netns", other)
        for where, interface, at in ((one, name, address), (other, f"{name}p", its)):
            inside = [] if where is None else ["-n", where]
            _ip(*inside, "address", "add", f"{at}/30", "dev", interface)
            _ip(*inside, "link", "set", interface, "up")

    def carry(self, does: bool) -> None:
        """Have the router pass packets on, or drop them without a word."""
        setting = f"net.ipv4.ip_forward={int(does)}"
        command = ["ip", "netns", "exec", self._router, "sysctl", "-qw", setting]
        subprocess.run(command, check=True, capture_output=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True)
