"""The Celery edge: one task a queue-item kind, and the worker's services."""
