"""The Celery worker: its start, its stop, its signals, and what its pool needs."""
