"""The parts of pages: plots, lists, filters, words. All except `notices` work without a request."""
