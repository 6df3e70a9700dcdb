"""Event names and the wildcards that match them (protocol: events.md §7.1)."""


def patterns(event_name: str) -> list[str]:
    """List the trigger names that an event matches: its own, then `…/*` and `….*` by prefix."""
    found = [event_name]
    for mark in "/.":
        for index, character in enumerate(event_name):
            if character == mark:
                found.append(f"{event_name[:index]}{mark}*")
    return found
