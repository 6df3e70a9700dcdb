"""Tasks and canvases of Celery apps: what is due of a run, what answers mean, what was lost."""
