"""`inngest_py.sdk.transactions` and `.outbox`: effects happen once, wherever a process is cut."""
