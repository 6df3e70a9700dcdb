"""Reach: which hosts the server may call, for apps and for steps.

The rules are checked for the address that a connection goes to. So neither a redirect nor a name
server that changes its answer can lead to another host.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from ..errors import Invalid

SETTING = "INNGEST_CALL_HOSTS"
PUBLIC_ONLY = "public-only"
REFUSED = "the server may not call"
_NEVER = "!"
_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network

# Addresses where clouds give a machine's keys to any program on it: link-local addresses, and those
# in the documentation of AWS, Google, Scaleway, Alibaba, Oracle and Azure for metadata.
_METADATA = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
        "fd00:42::42/128",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "168.63.129.16/32",
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")
# a connection to the first address of each pair goes to the second
_HERE: dict[_Address, _Address] = {
    IPv4Address("0.0.0.0"): IPv4Address("127.0.0.1"),  # noqa: S104
    IPv6Address("::"): IPv6Address("::1"),
}


@dataclass(frozen=True, slots=True)
class HostRules:
    """Hosts by name (`a.b`, `*.b`) and by network."""

    names: tuple[str, ...] = ()
    networks: tuple[_Network, ...] = ()

    def has_name(self, host: str) -> bool:
        """Say whether a host is among the names, or under a name such as `*.b`."""
        return any(
            host.endswith(name[1:]) if name.startswith("*.") else host == name
            for name in self.names
        )

    def has_address(self, address: _Address) -> bool:
        """Say whether one of the networks has the address."""
        return any(address in network for network in self.networks)

    def __bool__(self) -> bool:
        return bool(self.names or self.networks)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which hosts may be called. A denied host stays denied, even if another rule allows it.

    `public_only` refuses private networks, unless they are allowed. Without it, anything in
    `allowed` refuses all other hosts. Addresses of clouds' metadata may be called with `metadata`
    or if an allowed network has them; that a host's name is allowed is not enough.
    """

    public_only: bool = False
    metadata: bool = True
    allowed: HostRules = HostRules()
    denied: HostRules = HostRules()
    setting: str = SETTING

    def for_configured_hosts(self) -> "Reach":
        """Return the rules that hold even for hosts that the settings themselves name."""
        return Reach(metadata=self.metadata, denied=self.denied)

    def refusal(self, host: str, address: str) -> str | None:
        """Say why a host must not be called at an address; None when it may be."""
        found = _embedded(address)
        reason = None if found is None else self._reason(_name(host), found)
        if found is not None and reason is None:
            return None
        reason = reason or "that is not an address"
        shown = host if host == address else f"{host} ({address})"
        return self._message(shown, reason)

    def refusal_of_name(self, host: str) -> str | None:
        """Say why a host must not be called at any address; None when the address decides."""
        text = host.partition("%")[0].strip("[]")
        if _embedded(text) is not None:
            return self.refusal(host, text)
        name = _name(host)
        if name == "localhost":
            return self.refusal(host, "127.0.0.1")
        if self.denied.has_name(name):
            return self._message(host, "it is denied")
        by_name_alone = self.allowed and not (self.public_only or self.allowed.networks)
        if by_name_alone and not self.allowed.has_name(name):
            return self._message(host, "it is not among the hosts that are allowed")
        return None

    def _message(self, shown: str, reason: str) -> str:
        return f"{REFUSED} {shown}: {reason} ({self.setting})"

    def _reason(self, host: str, address: _Address) -> str | None:
        if self.denied.has_name(host) or self.denied.has_address(address):
            return "it is denied"
        if self.allowed.has_address(address):
            return None
        if not self.metadata and _is_metadata(address):
            return "it is a link-local address, or one of a cloud's metadata"
        if self.allowed.has_name(host):
            return None
        if self.public_only:
            return None if _is_public(address) else "it is in a private network"
        return "it is not among the hosts that are allowed" if self.allowed else None


def parse(entries: Sequence[str], *, dev: bool) -> Reach:
    """Read a setting's entries: `public-only`, hosts and networks; `!` before one denies it.

    Raises Invalid, which names the entry. In production metadata is out of reach unless its address
    is allowed.
    """
    allowed: list[str] = []
    denied: list[str] = []
    for entry in entries:
        if entry.strip().lower() != PUBLIC_ONLY:
            (denied if entry.startswith(_NEVER) else allowed).append(entry)
    public_only = len(allowed) + len(denied) < len(entries)
    return Reach(
        public_only=public_only, metadata=dev, allowed=_rules(allowed), denied=_rules(denied)
    )


def _rules(entries: Sequence[str]) -> HostRules:
    names, networks = [], []
    for entry in entries:
        text = entry.removeprefix(_NEVER).strip().strip("[]")
        try:
            networks.append(_network(text))
        except ValueError:
            names.append(_checked_name(entry, text))
    return HostRules(tuple(names), tuple(networks))


def _network(text: str) -> _Network:
    found = ipaddress.ip_network(text, strict=False)
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):  # as _embedded() reads it
        return IPv4Network((int(found[0]) & 0xFFFFFFFF, found.prefixlen - _MAPPED.prefixlen))
    return found


def _checked_name(entry: str, text: str) -> str:
    name = text.removeprefix("*.")
    looks_right = name and not any(char in name for char in "/:@*! ") and name[0] != "."
    if not looks_right or all(part.isdigit() for part in name.split(".")):
        raise Invalid(
            f"{SETTING}: {entry[:64]!r} is none of {PUBLIC_ONLY}, a host such as api.example.com"
            " or *.example.com, an address, a network such as 10.0.0.0/8, or ! and one of these",
            field=SETTING,
        )
    return f"*.{_name(name)}" if text != name else _name(name)


def _name(host: str) -> str:
    """Write a host's name in its one canonical spelling."""
    host = host.rstrip(".").lower()
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


def _embedded(address: str) -> _Address | None:
    """Read an address; an IPv6 address that only wraps an IPv4 address gives the latter."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and int(found) > 1:
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and (found in _NAT64 or found in _COMPATIBLE):
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        found = found if inner is None else inner
    return _HERE.get(found, found)


def _is_metadata(address: _Address) -> bool:
    return any(address in network for network in _METADATA)


def _is_public(address: _Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not _is_metadata(address)
        and address not in _LOCAL_NAT64
    )
