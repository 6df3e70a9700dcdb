"""Changes to kombu and Celery: brokers, publishing, and when a worker reads messages."""
