"""The commands about apps: through the REST API, but for deleting one, which needs the database."""
