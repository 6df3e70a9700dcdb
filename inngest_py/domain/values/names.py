"""Event names and the wildcards that match them (protocol: events.md §7.1)."""


def patterns(event_name: str) -> list[str]:
    """List the trigger names that match an event: its own, then its prefixes with `/*` or `.*`."""
    found = {event_name: None}
    for mark in "/.":
        place = event_name.find(mark)
        while place >= 0:
            found[f"{event_name[:place]}{mark}*"] = None
            place = event_name.find(mark, place + 1)
    return list(found)
