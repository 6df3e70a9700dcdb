"""Changes to kombu and Celery: brokers, publishing, and when messages are read."""
