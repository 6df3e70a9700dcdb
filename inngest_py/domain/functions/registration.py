"""Registrations: an app and its functions, as an SDK sends them (sync.md §4.1).

Invariant: a payload is accepted as a whole or refused as a whole.
"""

import hashlib
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from ..errors import Invalid
from ..values import canonical, urls
from ..values.dataclass_json import encode
from .config_fields import CONFIG, Fields, wrong
from .function_config import FunctionConfig, parse_config, slug_of
from .retries import parse_backoff

MAX_FUNCTIONS = 1000
_DEPLOY_TYPES = ("ping", "connect")


@dataclass(frozen=True, slots=True)
class Registration:
    """An app's sync; texts that were not sent are empty.

    `url` is the normalised serve URL, `checksum` the SHA-256 (hex) of all other fields,
    `deploy_type` is ping or connect.
    """

    app_name: str
    url: str
    functions: tuple[FunctionConfig, ...] = ()
    sdk: str = ""
    sdk_language: str = ""
    sdk_version: str = ""
    framework: str = ""
    platform: str = ""
    app_version: str = ""
    deploy_type: str = "ping"
    env: str = ""
    idempotency_key: str = ""
    checksum: str = ""

    @property
    def method(self) -> str:
        """How the app is called: connect, or serve."""
        return "connect" if urls.is_connect(self.url) else "serve"


def parse_registration(payload: object) -> Registration:
    """Check a sync's payload.

    Raises Invalid with the field's path and the code of sync.md §5.4. For an empty app name the
    message is "App ID required" and the field is appName.
    """
    fields = Fields(payload, "")
    name = _app_name(fields, "appName")
    url = urls.short_enough(_required_url(fields))
    sdk = fields.text("sdk") or ""
    language, _, version = sdk.partition(":")
    headers = fields.object("headers") or Fields({})
    deploy_type = fields.text("deployType") or "ping"
    if deploy_type not in _DEPLOY_TYPES:
        raise wrong("deployType", "must be ping or connect")
    return _with_checksum(
        Registration(
            app_name=name,
            url=url,
            functions=_parse_functions(fields),
            sdk=sdk,
            sdk_language=language,
            sdk_version=version,
            framework=fields.text("framework") or "",
            platform=headers.text("platform") or fields.text("platform") or "",
            app_version=fields.text("appVersion") or "",
            deploy_type=deploy_type,
            env=headers.text("env") or "",
            idempotency_key=fields.text("idempotencyKey") or "",
        )
    )


def _app_name(fields: Fields, key: str) -> str:
    name = fields.text(key)
    if name is None:
        raise Invalid("App ID required", field=key, code=CONFIG)
    return name


def _required_url(fields: Fields) -> str:
    given = fields.text("url", urls.MAX_URL_CHARS)
    if given is None:
        raise wrong("url", "is missing: give the URL of the serve endpoint")
    return urls.normalise(given)


def _parse_functions(fields: Fields) -> tuple[FunctionConfig, ...]:
    value = fields.get("functions")
    if value is None:
        return ()
    functions: dict[str, FunctionConfig] = {}
    for item in Fields.listed(value, "functions", MAX_FUNCTIONS):
        config = parse_config(item)
        if config.slug in functions:
            raise wrong(item.at("id"), f"{config.slug!r} is given twice: ids are unique in an app")
        functions[config.slug] = config
    return tuple(functions.values())


def _with_checksum(made: Registration) -> Registration:
    digest = hashlib.sha256(canonical.dumps(encode(made))).hexdigest()
    return replace(made, checksum=digest)


def parse_function(payload: object) -> Registration:
    """Check one function that a person describes in JSON, without an SDK.

    `app` names its app. The function is written as in a sync, or with a plain `url`, to which
    `fnId` and `stepId` are added if they are missing. The default id is made of the slugs of the
    app's and the function's names. `backoff` may set a rule for retries, which a sync cannot.
    Raises Invalid as parse_registration does.
    """
    fields = Fields(payload, "")
    app = fields.text("app")
    if app is None:
        raise wrong("app", "is missing: name the app that the function belongs to")
    name = fields.text("name")
    if name is None:
        raise wrong("name", "is missing: name the function")
    slug = fields.text("id") or f"{slug_of(app)}-{slug_of(name)}".strip("-")
    given = {**fields.given, "id": slug}
    if fields.get("steps") is None:
        url = _with_function(_required_url(fields), slug)
        given["steps"] = {"step": {"runtime": {"url": url}}}
    config = replace(parse_config(Fields(given)), backoff=parse_backoff(fields))
    url = urls.short_enough(urls.serve_url(config.url))
    if urls.is_connect(url):
        raise wrong("url", "must begin with http:// or https://: workers bring their functions")
    return _with_checksum(Registration(app_name=app, url=url, functions=(config,)))


def _with_function(url: str, slug: str) -> str:
    """Add `fnId` and `stepId`, which the URL of a call needs, to a serve URL."""
    names = {pair.split("=", 1)[0] for pair in url.partition("?")[2].split("&")}
    missing = {key: text for key, text in (("fnId", slug), ("stepId", "step")) if key not in names}
    if not missing:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(missing)}"
