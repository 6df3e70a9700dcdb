"""The Celery worker's own steps: its start, its stop, and what its pool needs."""
