"""Read settings: flags override the environment, which overrides the file. Reports all mistakes."""

import difflib
import re
import tomllib
import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import yaml

from . import yaml_reading
from .config import Settings, default_database
from .domain.errors import Invalid
from .domain.functions import declared_apps


class Read(NamedTuple):
    """Settings by name, and the errors of those that could not be read and are left out."""

    values: dict[str, Any]
    errors: list[str]


def _flag(text: str) -> bool:
    value = text.strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("not a yes or no")


def _is_flag(text: str) -> bool:
    try:
        _flag(text)
    except ValueError:
        return False
    return True


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _reader(hint: Any) -> Callable[[str], Any]:
    """Return the function that reads the text of a setting of this type."""
    if get_origin(hint) is types.UnionType:
        [hint] = [one for one in get_args(hint) if one is not types.NoneType]
    if get_origin(hint) is tuple:
        return _list
    return _flag if hint is bool else hint


def _own(name: str) -> str:
    """Name the variable that is named after a setting."""
    return f"INNGEST_{name.upper()}"


_DECLARED = "declared_celery_apps"  # only a file can hold it
_READERS = {
    name: _reader(hint) for name, hint in get_type_hints(Settings).items() if name != _DECLARED
}
_ENVIRONMENT = {_own(name): name for name in _READERS} | {
    "INNGEST_EVENT_KEY": "event_keys",
    "INNGEST_INVOKE_KEY": "invoke_keys",
    "INNGEST_SDK_URL": "sdk_urls",
    "INNGEST_REDIS_URL": "broker_url",
    "REDIS_URL": "broker_url",
    "DATABASE_URL": "database_url",
}
_KEYS = ("event_keys", "invoke_keys", "signing_key", "signing_key_fallback")
_FILE_ALIASES = {
    "event_key": "event_keys",
    "invoke_key": "invoke_keys",
    "sdk_url": "sdk_urls",
    "redis_url": "broker_url",
}

# Read by our command line or by SDKs, which may share the environment.
_OTHERS = {
    "INNGEST_CONFIG",
    "INNGEST_BASE_URL",
    "INNGEST_API_BASE_URL",
    "INNGEST_API_TOKEN",
    "INNGEST_EVENT_API_BASE_URL",
    "INNGEST_API_ORIGIN",
    "INNGEST_EVENT_API_ORIGIN",
    "INNGEST_API_URL",
    "INNGEST_DEVSERVER_URL",
    "INNGEST_ENV",
    "INNGEST_APP_ID",
    "INNGEST_SERVE_ORIGIN",
    "INNGEST_SERVE_HOST",
    "INNGEST_SERVE_PATH",
    "INNGEST_STREAMING",
    "INNGEST_ALLOW_IN_BAND_SYNC",
    "INNGEST_ENABLE_UNAUTHED_SYNC",
    "INNGEST_THREAD_POOL_MAX_WORKERS",
    "INNGEST_MAX_STEP_COUNT",
}
_OTHERS_BEGIN = ("INNGEST_CONNECT_",)
# Kubernetes sets these in pods if there are services named inngest, inngest-py, inngest-api …
_OF_KUBERNETES = re.compile(
    r"INNGEST_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


def from_environment(environ: Mapping[str, str]) -> Read:
    """Read settings from environment variables."""
    found = Read({}, [])
    for variable in sorted(_ENVIRONMENT, key=_rank):
        text = environ.get(variable)
        if text is None or text == "":
            continue
        name = _ENVIRONMENT[variable]
        if _is_anothers(variable, text):
            continue
        try:
            found.values[name] = _READERS[name](text)
        except ValueError:
            found.errors.append(f"{variable}={text!r} cannot be read as {name}")
    return found


def _rank(variable: str) -> tuple[bool, bool]:
    """Order variables so that the last of several for a setting counts: the one named after it.

    That is the one by which a child process gets what its parent has read.
    """
    return variable.startswith("INNGEST_"), variable == _own(_ENVIRONMENT[variable])


def _is_anothers(variable: str, text: str) -> bool:
    """Say whether a value is not for us: a URL for SDKs, or Kubernetes' URL of a service."""
    if variable == "INNGEST_DEV":
        return not _is_flag(text)
    return variable == "INNGEST_PORT" and _ADDRESS.match(text) is not None


def unknown(environ: Mapping[str, str]) -> list[str]:
    """List the variables `INNGEST_…` that are not settings, with the setting that may be meant."""
    found = []
    for variable in sorted(environ):
        if not variable.startswith("INNGEST_") or variable in _OTHERS | set(_ENVIRONMENT):
            continue
        if variable.startswith(_OTHERS_BEGIN) or _is_of_kubernetes(variable, environ[variable]):
            continue
        near = _near(variable.removeprefix("INNGEST_").lower())
        hint = f"did you mean INNGEST_{near.upper()}?" if near else "it has no effect"
        found.append(f"{variable} is not a setting: {hint}")
    return found


def _is_of_kubernetes(variable: str, text: str) -> bool:
    if _OF_KUBERNETES.fullmatch(variable):
        return True
    return variable.endswith("_PORT") and _ADDRESS.match(text) is not None


def _near(name: str) -> str | None:
    """Find the setting that may be meant by a name."""
    return next(iter(difflib.get_close_matches(name, _READERS, n=1, cutoff=0.7)), None)


def from_file(path: Path, environ: Mapping[str, str] | None = None) -> Read:
    """Read settings from a YAML or TOML file; Celery apps may name variables of `environ`."""
    try:
        text = path.read_text()
        loaded = tomllib.loads(text) if path.suffix == ".toml" else yaml_reading.load(text)
    except UnicodeDecodeError:
        return Read({}, [f"{path}: not valid: it is not text in UTF-8"])
    except OSError as error:
        return Read({}, [f"{path}: cannot be read: {error.strerror}"])
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        return Read({}, [f"{path}: not valid: {_syntax(error)}"])
    except RecursionError:
        return Read({}, [f"{path}: not valid: it is nested too deep"])
    settings = loaded or {}
    if not isinstance(settings, dict):
        return Read({}, [f"{path}: must hold settings by name"])
    found = Read({}, [])
    for key, value in settings.items():
        try:
            name = _file_key(path, key)
            if name == "celery_apps" and isinstance(value, dict):
                apps, errors = declared_apps.read(value, environ or {}, str(path))
                found.values[_DECLARED] = tuple(apps)
                found.errors.extend(f"{path}: {error}" for error in errors)
            else:
                found.values[name] = _file_value(path, key, name, value)
        except Invalid as error:
            found.errors.append(error.message)
    return found


def _syntax(error: Exception) -> str:
    """Say where a file is wrong, without quoting the line: it may contain a key."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error).splitlines()[0]
    mark = error.problem_mark
    where = f" in line {mark.line + 1}" if mark is not None else ""
    return f"{error.problem or 'YAML cannot be read'}{where}"


def _file_key(path: Path, key: object) -> str:
    name = str(key).replace("-", "_").lower()
    name = _FILE_ALIASES.get(name, name)
    if name not in _READERS:
        near = _near(name)
        hint = f": did you mean {near}?" if near else ""
        raise Invalid(f"{path}: {key!r} is not a setting{hint}")
    return name


def _file_value(path: Path, key: object, name: str, value: Any) -> Any:
    given = value if isinstance(value, list) else [value]
    if name in _KEYS and not all(isinstance(item, str) for item in given):
        # YAML reads 0123 as a number in base 8
        raise Invalid(f"{path}: {key} must be text: put it in quotes")
    read = _READERS[name]
    if any("\0" in str(item) for item in given):
        raise Invalid(f"{path}: {key} holds a NUL character")
    try:
        if read is _list and isinstance(value, list):
            return tuple(str(item) for item in value)
        return read(str(value))
    except ValueError:
        raise Invalid(f"{path}: {key} = {value!r} cannot be read") from None


def read(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None, **defaults: Any
) -> tuple[Settings, list[str]]:
    """Join flags, environment, file and defaults, in this order; a flag of None is not given.

    Returns the settings, and every mistake of environment and file; wrong values are left out.
    """
    if file is None and environ.get("INNGEST_CONFIG"):
        file = Path(environ["INNGEST_CONFIG"])
    filed = from_file(file, environ) if file is not None else Read({}, [])
    set_ = from_environment(environ)
    given = {name: value for name, value in flags.items() if value is not None}
    settings = replace(Settings(), **{**defaults, **filed.values, **set_.values, **given})
    url = settings.database_url or default_database(settings.dev)
    return replace(settings, database_url=_plain(url)), filed.errors + set_.errors


def load(
    flags: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None, **defaults: Any
) -> Settings:
    """Read settings as read() does. Raises Invalid with every mistake, one per line."""
    settings, errors = read(flags, environ, file, **defaults)
    if errors:
        raise Invalid("\n".join(errors))
    return settings


# scheme, user and password, several hosts, the rest
_HOSTS = re.compile(
    r"(postgresql(?:\+\w+)?://)((?:[^/?#]*@)?)([^/?#@]*,[^/?#@]*)((?:[/?#].*)?)", re.DOTALL
)


def _plain(url: str) -> str:
    """Write a database's URL as SQLAlchemy reads it: libpq has shorter names and lists of hosts."""
    if url.startswith("postgres://"):
        url = "postgresql" + url.removeprefix("postgres")
    if (found := _HOSTS.fullmatch(url)) is None:
        return url
    scheme, user, hosts, rest = found.groups()
    path, _, query = rest.partition("?")
    # SQLAlchemy takes a list of hosts only in the query, with a port for each
    pairs = [_host_and_port(host) for host in hosts.split(",")]
    names, ports = (",".join(column) for column in zip(*pairs, strict=True))
    return f"{scheme}{user}{path or '/'}?host={names}&port={ports}{'&' + query if query else ''}"


def _host_and_port(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, ""
    return host.strip("[]"), port or "5432"


def to_environment(settings: Settings) -> dict[str, str]:
    """Write settings as the environment of a child process; from_environment() reads them back."""
    found = {}
    for name in _READERS:
        value = getattr(settings, name)
        if value is None or value == ():
            continue
        if isinstance(value, tuple):
            value = ",".join(value)
        found[_own(name)] = str(value)
    return found
