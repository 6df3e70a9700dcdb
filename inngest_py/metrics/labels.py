"""Labels: names of functions, but no more of them than Prometheus should store."""

import threading
from collections.abc import Callable

OTHER = "other"
MOST_FUNCTIONS = 100


class FunctionLabels:
    """Gives the slug of a function for its id; `other` once `most` functions have a label."""

    def __init__(self, slug_of: Callable[[str], str | None], most: int = MOST_FUNCTIONS) -> None:
        self._slug_of, self._most = slug_of, most
        self._slugs: set[str] = set()
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def of_id(self, function_id: str) -> str:
        """Return the label of a function's id; also `other` while this process does not know it."""
        known = self._known.get(function_id)
        if known is not None:
            return known
        slug = self._slug_of(function_id)
        if slug is None:
            return OTHER
        label = self.of_slug(slug)
        if label != OTHER:  # so there are no more entries than labels
            self._known[function_id] = label
        return label

    def of_slug(self, slug: str) -> str:
        """Return the label of a function's slug."""
        if slug in self._slugs:
            return slug
        with self._lock:
            if len(self._slugs) >= self._most:
                return OTHER
            self._slugs.add(slug)
        return slug
