"""What a worker says of itself in WORKER_CONNECT, checked; and the syncs of its apps."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from google.protobuf.message import DecodeError

from ..errors import Invalid
from ..functions.registration import Registration, parse_registration
from ..values import canonical, ids
from .codes import HELLO_INVALID_PAYLOAD, TOO_MANY_APPS, Ending
from .messages_pb2 import AppConfiguration, WorkerConnectRequestData

MOST_APPS = 10
# calls in flight of a worker that names no number, and the most that one may name
DEFAULT_CAPACITY = 1000
_MOST_CHARS = 255


@dataclass(frozen=True, slots=True)
class WorkerApp:
    """One app of a worker; `group` is the hash of the worker group it belongs to."""

    name: str
    version: str
    sync: Registration
    group: str


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as it introduces itself; texts that were not sent are empty.

    `capacity` is how many calls it may have in flight. `manual_ready` means that it gets none until
    it says that it is ready.
    """

    connection_id: str
    instance_id: str
    apps: tuple[WorkerApp, ...]
    capacity: int
    manual_ready: bool
    sdk_language: str
    sdk_version: str
    framework: str
    platform: str
    env: str
    cpu_cores: int
    memory_bytes: int
    system: str
    started_at: datetime | None
    session_token: str


class Refused(Exception):
    """The worker may not connect; `ending` closes its connection."""

    def __init__(self, ending: Ending, message: str) -> None:
        super().__init__(message)
        self.ending, self.message = ending, message


class UnsyncedApp(Exception):
    """One of the worker's apps cannot be synced."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def read(payload: bytes) -> Worker:
    """Read the payload of WORKER_CONNECT. Raises Refused, or UnsyncedApp for bad functions."""
    try:
        given = WorkerConnectRequestData.FromString(payload)
    except DecodeError:
        raise Refused(HELLO_INVALID_PAYLOAD, "WORKER_CONNECT cannot be read") from None
    _check(given)
    names = [app.app_name for app in given.apps]
    if len(set(names)) < len(names):
        raise Refused(HELLO_INVALID_PAYLOAD, "apps: an app is named twice")
    wanted = given.max_worker_concurrency
    return Worker(
        connection_id=given.connection_id,
        instance_id=given.instance_id[:_MOST_CHARS],
        apps=tuple(_app(given, app) for app in given.apps),
        capacity=min(wanted, DEFAULT_CAPACITY) if wanted > 0 else DEFAULT_CAPACITY,
        manual_ready=given.worker_manual_readiness_ack,
        sdk_language=given.sdk_language[:_MOST_CHARS],
        sdk_version=given.sdk_version[:_MOST_CHARS],
        framework=given.framework[:_MOST_CHARS],
        platform=given.platform[:_MOST_CHARS],
        env=given.environment[:_MOST_CHARS],
        cpu_cores=given.system_attributes.cpu_cores,
        memory_bytes=given.system_attributes.mem_bytes,
        system=given.system_attributes.os[:_MOST_CHARS],
        started_at=_started_at(given),
        session_token=given.auth_data.session_token,
    )


def _check(given: WorkerConnectRequestData) -> None:
    texts = (given.instance_id, given.sdk_language, given.sdk_version, given.framework)
    if any("\0" in text for text in (*texts, given.platform, given.environment)):
        raise Refused(HELLO_INVALID_PAYLOAD, "a text holds a NUL character: remove it")
    if not ids.is_ulid(given.connection_id):
        raise Refused(HELLO_INVALID_PAYLOAD, "connection_id is not the one of the start's answer")
    if not given.instance_id:
        raise Refused(HELLO_INVALID_PAYLOAD, "instance_id is missing: name the worker")
    if not given.apps:
        raise Refused(HELLO_INVALID_PAYLOAD, "apps is empty: name one app or more")
    if len(given.apps) > MOST_APPS:
        raise Refused(TOO_MANY_APPS, f"a connection may have {MOST_APPS} apps")


def _started_at(given: WorkerConnectRequestData) -> datetime | None:
    if not given.HasField("started_at"):
        return None
    try:
        return given.started_at.ToDatetime(UTC)
    except (ValueError, OverflowError):
        return None


def _app(given: WorkerConnectRequestData, app: AppConfiguration) -> WorkerApp:
    group = _group(given, app)
    try:
        functions = canonical.loads(app.functions or b"[]")
        sync = parse_registration(
            {
                "v": "1",
                "url": f"ws://connect?app_name={quote(app.app_name, safe='')}",
                "deployType": "connect",
                "appName": app.app_name,
                "appVersion": app.app_version,
                "sdk": f"{given.sdk_language}:{given.sdk_version}",
                "framework": given.framework,
                "functions": functions,
                "headers": {"env": given.environment, "platform": given.platform},
                "idempotencyKey": group,
            }
        )
    except Invalid as error:
        raise UnsyncedApp(error.code or "config_invalid", error.message) from None
    return WorkerApp(app.app_name, app.app_version, sync, group)


def _group(given: WorkerConnectRequestData, app: AppConfiguration) -> str:
    """Hash what workers of one group share: their functions, and what runs them (§3)."""
    parts = (
        *(ids.DEV_ACCOUNT_ID, ids.DEV_ENV_ID, app.app_name, app.app_version),
        *(given.sdk_language, given.sdk_version, hashlib.sha256(app.functions).hexdigest()),
    )
    return hashlib.sha256(canonical.dumps(list(parts))).hexdigest()
