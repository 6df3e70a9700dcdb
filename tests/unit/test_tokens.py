"""Only the server that made a token reads it, and only until it expires."""

import base64
import hashlib
import hmac
from typing import Any

import orjson
import pytest

from inngest_py.domain.access import tokens
from inngest_py.domain.errors import Invalid
from tests.factories import RUN_ID

NOW = 1_700_000_000
OURS, OTHER = tokens.secrets(("signkey-prod-12345678", "signkey-prod-87654321"))
CLAIMS = {"iss": "api.inngest.com", "sub": "run-claim", "run_id": RUN_ID, "exp": NOW + 9}


def part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token_of(head: bytes, body: bytes, algorithm: str = "sha256") -> str:
    """Sign any two parts with the right secret, as RFC 7515 says."""
    signed = f"{part(head)}.{part(body)}"
    return f"{signed}.{part(hmac.digest(OURS, signed.encode(), algorithm))}"


def token_with(**claims: Any) -> str:
    return token_of(b'{"alg":"HS256","typ":"JWT"}', orjson.dumps(CLAIMS | claims))


def tampered() -> str:
    """Put another run into a token, and keep its signature."""
    head, body, signature = token_with().split(".")
    other = base64.urlsafe_b64decode(body + "===").replace(RUN_ID.encode(), b"another")
    return f"{head}.{part(other)}.{signature}"


def test_a_run_claim_names_its_run_for_an_hour() -> None:
    token = tokens.run_claim(RUN_ID, OURS, NOW)
    assert tokens.claimed_run(token, (OTHER, OURS), NOW + 3599) == RUN_ID
    with pytest.raises(Invalid, match="expired"):
        tokens.claimed_run(token, (OURS,), NOW + 3600)


def test_the_format_is_that_of_json_web_tokens() -> None:
    head, body, signature = tokens.run_claim(RUN_ID, OURS, NOW).split(".")
    digest = hmac.new(OURS, f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert part(digest) == signature
    assert orjson.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "HS256", "typ": "JWT"}
    claims = orjson.loads(base64.urlsafe_b64decode(body + "==="))
    assert (claims["iss"], claims["exp"]) == ("api.inngest.com", NOW + 3600)


def test_tokens_of_an_earlier_release_are_read() -> None:
    token = (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
        "eyJpc3MiOiJhcGkuaW5uZ2VzdC5jb20iLCJzdWIiOiJydW4tY2xhaW0iLCJlbnYiOiIwMDAwMDAwMC0w"
        "MDAwLTQwMDAtYjAwMC0wMDAwMDAwMDAwMDAiLCJydW5faWQiOiIwMUpEMDAwMDAwMDAwMDAwMDAwMDAw"
        "MDAwMCIsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAzNjAwfQ"
        ".M0lq97VGp5lf4LDmFIGDdx8AhE-n6lBmR29Tu6rqIbw"
    )
    assert tokens.claimed_run(token, (OTHER, OURS), NOW) == RUN_ID


def test_a_token_is_read_while_one_of_the_keys_is_known() -> None:
    assert tokens.claimed_run(token_with(), (OTHER, OURS), NOW) == RUN_ID
    assert tokens.claimed_run(token_with(), (OURS, OTHER), NOW) == RUN_ID
    with pytest.raises(Invalid):
        tokens.claimed_run(token_with(), (OTHER,), NOW)


def test_only_the_given_time_decides() -> None:
    """The machine's clock is years after NOW; a token made in a worker's future is good, too."""
    assert tokens.claimed_run(token_with(iat=NOW + 60, nbf=NOW + 60), (OURS,), NOW) == RUN_ID


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "a.b", "a.b.c", "a.b.c.d", "é.b.c", "\udcff.b.c", "x" * 9000),
        tokens.run_claim(RUN_ID, OTHER, NOW),
        tokens.run_stream(RUN_ID, OURS, NOW),
        tokens.run_claim(RUN_ID, OURS, NOW)[:-2],
        tampered(),
        token_with(iss="rt.inngest.com"),
        token_with(iss=["api.inngest.com"]),
        token_with(iss=None),
        token_with(sub="other"),
        token_with(run_id=7),
        token_with(exp="tomorrow"),
        token_with(exp=NOW),
        tokens.make({"iss": "api.inngest.com", "sub": "run-claim", "exp": NOW + 9}, OURS),
        tokens.make({"iss": "api.inngest.com", "run_id": RUN_ID}, OURS),
        token_with(padding="x" * 9000),
        token_of(b'{"alg":"HS256"}', b"[]"),
        token_of(b'{"alg":"HS256"}', b"\xff\xfe\xfd"),
        token_of(b'{"alg":"HS256"}', b"[" * 4000),
        token_of(b'"HS256"', orjson.dumps(CLAIMS)),
        token_of(b"\xff\xfe\xfd", orjson.dumps(CLAIMS)),
        token_of(b"[" * 4000, orjson.dumps(CLAIMS)),
        token_of(b"{}", orjson.dumps(CLAIMS)),
        token_of(b'{"alg":"none"}', orjson.dumps(CLAIMS)),
        token_of(b'{"alg":"none"}', orjson.dumps(CLAIMS)).rpartition(".")[0] + ".",
        token_of(b'{"alg":"HS512"}', orjson.dumps(CLAIMS), "sha512"),
        token_of(b'{"alg":"RS256"}', orjson.dumps(CLAIMS)),
        token_of(b'{"alg":["HS256"]}', orjson.dumps(CLAIMS)),
        token_of(b'{"alg":"HS256","b64":false,"crit":["b64"]}', orjson.dumps(CLAIMS)),
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(Invalid, match=r"^the token (is not valid|has expired)$"):
        tokens.claimed_run(token, (OURS,), NOW)
