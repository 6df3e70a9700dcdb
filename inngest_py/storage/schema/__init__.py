"""The schema: every table, and the migrations that make it."""
