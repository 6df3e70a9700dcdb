"""`POST /v0/gql`: apps, functions, events, runs and their timelines (protocol: api.md §5)."""
