"""Which messages have the same cause."""

import time

import pytest

from inngest_py.domain.reports.causes import cause, step_name


@pytest.mark.parametrize(
    ("messages", "shared"),
    [
        (
            ("warehouse 1 did not answer", "warehouse 22 did not answer"),
            "warehouse # did not answer",
        ),
        (("took 1.5 s", "took 12 s"), "took # s"),
        (("order ord_81f2 is gone", "order ord_99aa7 is gone"), "order # is gone"),
        (("no 'a b'", "no 'x'"), "no #"),
        (('key "a" is missing', 'key "b" is missing'), "key # is missing"),
        (("no /v1/charges/ch_3Pab1x", "no /v1/charges/ch_902x"), "no /v1/charges/#"),
        (("at 2026-11-30T10:00:00Z, to", "at 2026-11-30 10:00:00.5+00:00, to"), "at #, to"),
        (("open /tmp/tmpabcd/x: no", "open /tmp/k_lm: no"), "open #: no"),
        (("user ann@a.example", "user bob.b@c.example"), "user #"),
        (("GET https://a.b/c?d=1 failed", "GET http://x/ failed"), "GET # failed"),
        (("at 10.0.0.1:5432", "at 10.0.0.27:5432"), "at #"),
        (("object at 0x7f01", "object at 0xffa1"), "object at #"),
        (
            ("id 01M8P6RFVPACCF90GXS242G8CC", "id 5f1b8a6e-3c1d-4f7e-9b1a-2c3d4e5f6a7b"),
            "id #",
        ),
    ],
)
def test_messages_of_one_cause(messages: tuple[str, str], shared: str) -> None:
    assert [cause(message) for message in messages] == [shared, shared]


def test_messages_of_other_causes() -> None:
    for message in ("it's gone, isn't it", "division by zero", "KeyError", ""):
        assert cause(message) == message


def test_a_long_message_costs_little() -> None:
    for odd in ("a" * 10_000, "1a-" * 5_000, "'" * 10_000, "a.@" * 5_000, "x://" * 5_000):
        before = time.process_time()
        cause(odd)
        assert time.process_time() - before < 0.5


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("charge-3", "charge"),
        ("charge:12", "charge"),
        ("charge [3]", "charge"),
        ("charge (4)", "charge"),
        ("a-1-b-2", "a-b"),
        ("charge-ord_81f2", "charge-ord_#"),
        ("mail 5f1b8a6e-3c1d-4f7e-9b1a-2c3d4e5f6a7b", "mail #"),
        ("reserve", "reserve"),
        ("step2", "step2"),
        ("pay-v2", "pay-v2"),
        ("3", "3"),
    ],
)
def test_steps_of_a_loop_have_one_name(name: str, shared: str) -> None:
    assert step_name(name) == shared
