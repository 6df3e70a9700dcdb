"""`celery`: the tasks of Celery apps, their settings, and beat schedules."""
