"""Celery's canvases: chains, groups and chords of tasks, read from JSON and run step by step.

`signatures` reads a signature and makes it simpler, `nodes` has what comes of it, `places` finds a
task by its path, `interpret` says what follows from a result. Nothing here knows Celery's code.
"""
