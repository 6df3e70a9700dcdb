"""Bulk cancellations: continue those that are not finished."""

from ..admin.bulk_cancel import cancel_page
from ..runtime.context import Context


def run_once(ctx: Context) -> bool:
    """Cancel one page of runs; other workers do other cancellations meanwhile."""
    return cancel_page(ctx)
