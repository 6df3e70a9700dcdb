"""Reading what Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


def samples(page: str) -> dict[tuple[str, Labels], float]:
    """Read a page as values by name and labels. Raises ValueError for what is no such page."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def value(page: str, name: str, **labels: str) -> float | None:
    """Read one value; None when it is not there."""
    return samples(page).get((name, frozenset(labels.items())))


def total(page: str, name: str) -> float:
    """Add up a name's values over all labels."""
    return sum(value for (found, _), value in samples(page).items() if found == name)
