"""Reach: which hosts may be called, by name and by the address that is connected to."""

import pytest

from inngest_py.domain.access import reach
from inngest_py.domain.errors import Invalid


def refused(entries: str, host: str, address: str | None = None, *, dev: bool = False) -> bool:
    made = reach.parse([one for one in entries.split(",") if one], dev=dev)
    said = made.refusal(host, address or host)
    assert said is None or (host in said and "INNGEST_CALL_HOSTS" in said)
    return said is not None


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd20:ce::254",
        "100.100.100.200",
        "168.63.129.16",
    ],
)
def test_metadata_is_out_of_reach_in_production_unless_its_address_is_allowed(address: str) -> None:
    assert refused("", "metadata.internal", address)
    assert not refused("", "metadata.internal", address, dev=True)
    # a name may resolve to anything
    assert refused("metadata.internal", "metadata.internal", address)
    assert refused("public-only", "metadata.internal", address)
    plain = "169.254.0.0/16,fe80::/10,fd00::/8,100.100.100.200,168.63.129.16"
    assert not refused(plain, "metadata.internal", address)


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "8.8.8.8", "fd00::1", "::1"])
def test_all_other_addresses_are_in_reach_by_default(address: str) -> None:
    assert not refused("", "app", address)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::7f00:1", False),
        ("2002:7f00:1::", False),
        ("168.63.129.16", False),
    ],
)
def test_public_only(address: str, public: bool) -> None:
    assert refused("public-only", "h", address, dev=True) is not public


def test_public_only_with_allowed_hosts() -> None:
    entries = "public-only,10.0.3.0/24,app.internal,*.svc.local"
    assert not refused(entries, "h", "10.0.3.9")
    assert refused(entries, "h", "10.0.4.9")
    assert not refused(entries, "App.Internal.", "10.0.4.9")
    assert not refused(entries, "a.b.svc.local", "10.0.4.9")
    assert refused(entries, "svc.local", "10.0.4.9")
    assert not refused(entries, "example.com", "8.8.8.8")


def test_allowed_hosts_exclude_all_others() -> None:
    assert not refused("api.example.com", "api.example.com", "10.0.0.1")
    assert refused("api.example.com", "example.com", "8.8.8.8")
    assert refused("api.example.com", "evil-api.example.com.evil.org", "8.8.8.8")
    assert not refused("10.0.0.0/8", "any", "10.9.9.9")
    assert refused("10.0.0.0/8", "any", "11.9.9.9")
    assert not refused("fd00::/8", "any", "fd00::5")
    assert not refused("::ffff:10.0.0.0/104", "any", "10.9.9.9")
    assert not refused("[fd00::5]", "any", "fd00::5")


def test_a_denied_host_stays_denied_when_it_is_allowed_too() -> None:
    entries = "*.example.com,10.0.0.0/8,!10.6.0.0/16,!admin.example.com"
    assert not refused(entries, "h", "10.5.0.1")
    assert refused(entries, "h", "10.6.0.1")
    assert refused(entries, "h.example.com", "::ffff:10.6.0.1")
    assert refused(entries, "admin.example.com", "8.8.8.8")
    assert refused("!127.0.0.0/8", "h", "0.0.0.0")
    assert not refused("!10.6.0.0/16", "h", "8.8.8.8")
    assert refused("!bücher.de", "xn--bcher-kva.de", "8.8.8.8")


@pytest.mark.parametrize(
    ("entries", "host", "decided"),
    [
        ("", "169.254.169.254", True),
        ("", "[::ffff:169.254.169.254]", True),
        ("", "metadata.internal", False),
        ("public-only", "localhost", True),
        ("public-only", "10.1.1.1", True),
        ("public-only", "app.internal", False),
        ("a.com", "b.com", True),
        ("a.com", "a.com", False),
        ("a.com,10.0.0.0/8", "b.com", False),
        ("!a.com", "A.com.", True),
    ],
)
def test_names_that_decide_without_an_address(entries: str, host: str, decided: bool) -> None:
    made = reach.parse([one for one in entries.split(",") if one], dev=False)
    assert (made.refusal_of_name(host) is not None) is decided


@pytest.mark.parametrize(
    "entry", ["", "!", "*", "*.", "http://a.com", "a.com:80", "10.0.0.0/99", "1.2.3", "a b", "!!a"]
)
def test_a_bad_entry_is_named(entry: str) -> None:
    with pytest.raises(Invalid, match="INNGEST_CALL_HOSTS"):
        reach.parse([entry], dev=False)
