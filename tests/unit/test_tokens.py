"""Only the server that made a token reads it, and only until it expires."""

import base64
import hashlib
import hmac

import orjson
import pytest

from inngest_py.domain.access import tokens
from inngest_py.domain.errors import Invalid
from tests.factories import RUN_ID

NOW = 1_700_000_000
OURS, OTHER = tokens.secrets(("signkey-prod-12345678", "signkey-prod-87654321"))


def test_a_run_claim_names_its_run_for_an_hour() -> None:
    token = tokens.run_claim(RUN_ID, OURS, NOW)
    assert tokens.claimed_run(token, (OTHER, OURS), NOW + 3599) == RUN_ID
    with pytest.raises(Invalid, match="expired"):
        tokens.claimed_run(token, (OURS,), NOW + 3600)


def test_the_format_is_that_of_json_web_tokens() -> None:
    head, body, signature = tokens.run_claim(RUN_ID, OURS, NOW).split(".")
    digest = hmac.new(OURS, f"{head}.{body}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == signature
    assert orjson.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "HS256", "typ": "JWT"}
    claims = orjson.loads(base64.urlsafe_b64decode(body + "==="))
    assert (claims["iss"], claims["exp"]) == ("api.inngest.com", NOW + 3600)


def _unsigned() -> str:
    _, body, _ = tokens.run_claim(RUN_ID, OURS, NOW).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return f"{none}.{body}."


@pytest.mark.parametrize(
    "token",
    [
        *("", ".", "..", "a.b", "a.b.c", "a.b.c.d", "é.b.c", "x" * 9000),
        tokens.run_claim(RUN_ID, OTHER, NOW),
        tokens.run_stream(RUN_ID, OURS, NOW),
        tokens.run_claim(RUN_ID, OURS, NOW)[:-2],
        tokens.make({"iss": "api.inngest.com", "sub": "run-claim", "exp": NOW + 9}, OURS),
        tokens.make({"iss": "api.inngest.com", "run_id": RUN_ID}, OURS),
        _unsigned(),
    ],
)
def test_any_other_token_is_refused(token: str) -> None:
    with pytest.raises(Invalid, match="the token"):
        tokens.claimed_run(token, (OURS,), NOW)
