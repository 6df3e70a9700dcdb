"""Labels: names of functions, no more of them than Prometheus should hold."""

import threading
from collections.abc import Callable

OTHER = "other"
MOST_FUNCTIONS = 100


class FunctionLabels:
    """Gives the slug of a function for its id, and `other` from a number of functions on."""

    def __init__(self, slug_of: Callable[[str], str | None], most: int = MOST_FUNCTIONS) -> None:
        self._slug_of, self._most = slug_of, most
        self._slugs: set[str] = set()
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def of_id(self, function_id: str) -> str:
        """Name a function by its id; `other` as well while this process does not know it."""
        known = self._known.get(function_id)
        if known is not None:
            return known
        slug = self._slug_of(function_id)
        if slug is None:
            return OTHER
        label = self.of_slug(slug)
        if label != OTHER:  # as many as there are labels, not as there are functions
            self._known[function_id] = label
        return label

    def of_slug(self, slug: str) -> str:
        """Name a function by its slug."""
        if slug in self._slugs:
            return slug
        with self._lock:
            if len(self._slugs) >= self._most:
                return OTHER
            self._slugs.add(slug)
        return slug
