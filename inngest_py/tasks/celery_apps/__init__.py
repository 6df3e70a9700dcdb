"""Brokers of Celery apps: tasks are sent to them, and answers and states come back."""
