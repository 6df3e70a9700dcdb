"""Options of a broker's transport: those of kombu that are known are checked."""

from collections.abc import Mapping

from ..errors import Invalid
from ..values.checks import kind

_NUMBERS = (
    *("visibility_timeout", "unacked_restore_limit", "polling_interval", "max_connections"),
    *("socket_timeout", "socket_connect_timeout", "health_check_interval", "heartbeat"),
    *("read_timeout", "write_timeout", "connect_timeout", "max_retries", "interval_start"),
    *("interval_step", "interval_max", "port", "db"),
)
_BOOLEANS = ("socket_keepalive", "retry_on_timeout", "confirm_publish", "ack_emulation")
_TEXTS = (
    *("sep", "queue_order_strategy", "global_keyprefix", "keyprefix_queue", "keyprefix_fanout"),
    *("unacked_key", "unacked_index_key", "unacked_mutex_key", "master_name", "login_method"),
    *("username", "password", "client_name"),
)
_OBJECTS = ("sentinel_kwargs", "socket_keepalive_options", "client_properties")
_LISTS = ("priority_steps",)
_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(_NUMBERS, ((int, float), "a number, such as 3600")),
    **dict.fromkeys(_BOOLEANS, (bool, "true or false")),
    **dict.fromkeys(_TEXTS, (str, "a text")),
    **dict.fromkeys(_OBJECTS, (dict, "an object")),
    **dict.fromkeys(_LISTS, (list, "a list")),
}


def check_options(options: Mapping[str, object], path: str = "options") -> None:
    """Refuse options whose values kombu could not use. Raises Invalid, which names the option.

    Options that are not known here are left to kombu; null leaves one as it is by default.
    """
    for name, value in options.items():
        types, wanted = _KINDS.get(name, (object, ""))
        is_wrong_bool = isinstance(value, bool) and types is not bool and types is not object
        if value is not None and (not isinstance(value, types) or is_wrong_bool):
            where = f"{path}.{name}"
            raise Invalid(f"{where} must be {wanted}, not {kind(value)}", field=where)
