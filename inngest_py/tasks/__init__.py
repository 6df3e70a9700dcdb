"""The Celery edge: one task per kind of queue item, and what a worker does beside its tasks."""
