"""The catalogue: apps, their functions, overrides of limits, cron schedules."""
